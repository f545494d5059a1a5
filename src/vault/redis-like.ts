/** What is used of the clients of Redis, by structure: nothing here imports one. */

/** A client of `redis` (node-redis, 5 or later): single, pooled, sentinel or cluster. */
export interface NodeRedisLike {
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  readonly evalSha: unknown
}

/** A client of `ioredis`: single, sentinel or cluster. */
export interface IoRedisLike {
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
  readonly evalsha: unknown
}

export type RedisLike = NodeRedisLike | IoRedisLike

/** Runs a script on the server that holds `keys`, or where there is none, on this one. */
export type RunScript = (
  script: string,
  keys: readonly string[],
  args: readonly string[],
) => Promise<unknown>

/** One server that holds part of the keys. */
export interface RedisPart {
  /** Such as `10.0.0.1:6379`. */
  readonly name: string
  readonly run: RunScript
}

/**
 * Runs scripts through `client`, whichever of the two it is.
 *
 * @throws `TypeError` when it is neither.
 */
export function scriptRunner(client: RedisLike): RunScript {
  const given = client as Partial<NodeRedisLike & IoRedisLike> | null | undefined
  if (typeof given?.eval !== 'function') {
    throw new TypeError(
      'client must be a client of redis (node-redis) or ioredis; it has no eval(). Write: redisStore(createClient({ url })), after await client.connect(), or: redisStore(new Redis(url)).',
    )
  }
  if (typeof given.evalSha === 'function') {
    const redis = client as NodeRedisLike
    return (script, keys, args) => redis.eval(script, { keys: [...keys], arguments: [...args] })
  }
  if (typeof given.evalsha === 'function') {
    const redis = client as IoRedisLike
    return (script, keys, args) => redis.eval(script, keys.length, ...keys, ...args)
  }
  throw new TypeError(
    'client must be a client of redis (node-redis) or ioredis; it has an eval(), but neither evalSha() nor evalsha().',
  )
}

/** What ioredis puts before every key by itself, but not before the pattern of a listing. */
export function ownPrefixOf(client: RedisLike): string {
  const { options } = client as { options?: { keyPrefix?: unknown } | null }
  const prefix = (client as Partial<IoRedisLike>).evalsha ? options?.keyPrefix : undefined
  return typeof prefix === 'string' ? prefix : ''
}

interface NodeRedisCluster {
  readonly masters: readonly { readonly host: string; readonly port: number }[]
  nodeClient(master: unknown): Promise<NodeRedisLike> | NodeRedisLike
}

interface IoRedisCluster {
  nodes(role: 'master'): readonly (IoRedisLike & {
    readonly options: { readonly host?: string; readonly port?: number }
  })[]
}

/** The servers to ask for all keys: one, or the masters of a cluster in the order of their names. */
export async function partsOf(client: RedisLike): Promise<readonly RedisPart[]> {
  const { masters, nodeClient } = client as Partial<NodeRedisCluster>
  const { nodes } = client as Partial<IoRedisCluster>
  let parts: RedisPart[] = [{ name: '', run: scriptRunner(client) }]
  if (Array.isArray(masters) && typeof nodeClient === 'function') {
    const cluster = client as unknown as NodeRedisCluster
    parts = await Promise.all(
      cluster.masters.map(async (master) => ({
        name: `${master.host}:${master.port}`,
        run: scriptRunner(await cluster.nodeClient(master)),
      })),
    )
  } else if (typeof nodes === 'function') {
    const masterNodes = (client as unknown as IoRedisCluster).nodes('master')
    parts = masterNodes.map((node) => ({
      name: `${node.options.host}:${node.options.port}`,
      run: scriptRunner(node),
    }))
  }
  return parts.sort((a, b) => (a.name < b.name ? -1 : 1))
}

const ERROR_CODE = /^(?:ReplyError: |ERR )?([A-Z]{2,20})(?: |$)/

/** The code that a reply of Redis begins with, such as `READONLY`. */
export function redisErrorCode(error: unknown): string | undefined {
  const { message } = (error ?? {}) as { message?: unknown }
  return typeof message === 'string' ? ERROR_CODE.exec(message)?.[1] : undefined
}
