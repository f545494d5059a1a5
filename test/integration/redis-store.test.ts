import { createServer, type Server, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { VaultUnavailableError } from '../../src/errors/vault.js'
import { describeVaultStore } from '../../src/testing/store-contract.js'
import type { RedisLike } from '../../src/vault/redis-like.js'
import { redisStore } from '../../src/vault/redis-store.js'
import type { VaultStore } from '../../src/vault/store.js'
import { hammer, newId, takeTurns } from '../support/store-children.js'
import { needs, redisServer } from './binaries.js'
import { type RunningRedis, startRedis } from './redis.js'

const row = { sealed: new Uint8Array([1, 2, 3]), version: 1 }

/** What `work` ended with. That it ends while the server is silent is the proof; how soon is not judged here. */
const outcomeOf = (work: Promise<unknown>) => work.catch((error: unknown) => error)

const everyCall = (store: VaultStore, id: string) => [
  () => store.get(id),
  () => store.put(id, { ...row, version: 2 }, { replaces: 1 }),
  () => store.put(id, { ...row, version: 2 }, { replaces: 0 }),
  () => store.delete(id),
  () => store.scan(),
]

const closing: (() => unknown)[] = []

const clients = {
  async 'node-redis'(url: string) {
    const client = createClient({ url })
    client.on('error', () => {})
    closing.push(() => client.destroy())
    await client.connect()
    return client
  },
  async ioredis(url: string) {
    const client = new Redis(url, { retryStrategy: () => 100 })
    client.on('error', () => {})
    closing.push(() => client.disconnect())
    return client
  },
}
const names = ['node-redis', 'ioredis'] as const

afterEach(async () => {
  for (const close of closing.splice(0)) {
    try {
      await close()
    } catch {
      // Closed before.
    }
  }
})

describe.skipIf(!redisServer)(needs(redisServer, 'redis-server', 'redisStore'), () => {
  let redis: RunningRedis

  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.close())

  for (const name of names) {
    const connect = (): Promise<RedisLike> => clients[name](redis.url)

    describeVaultStore({ describe, it }, async () => redisStore(await connect()), {
      name: `VaultStore contract, ${name}`,
    })

    it(`V20 ${name}: four processes lose no step`, async () => {
      const kind = name === 'ioredis' ? 'ioredis' : 'redis'
      const { wins, version } = await hammer({ kind, at: redis.url }, 25)
      expect(wins).toEqual([25, 25, 25, 25])
      expect(version).toBe(100)
      expect(await takeTurns({ kind, at: redis.url }, 10)).toEqual([10, 10, 10, 10])
    })

    it(`V16 P03 ${name}: unavailable, not empty, while Redis stands still; recovers`, async () => {
      const client = await connect()
      const store = redisStore(client, { timeoutMs: 300 })
      const id = newId()
      await redisStore(client).put(id, row)
      redis.pause()
      try {
        for (const call of everyCall(store, id).filter((_, at) => at !== 1 && at !== 3)) {
          const outcome = await outcomeOf(call())
          expect(outcome).toMatchObject({ name: 'VaultUnavailableError', reason: 'timeout' })
        }
      } finally {
        redis.resume()
      }
      await expect.poll(() => store.get(id).catch(() => undefined)).toEqual(row)
    })

    it(`P03 ${name}: a write that timed out does nothing to a newer row when it arrives`, async () => {
      const client = await connect()
      const hung = redisStore(client, { timeoutMs: 200 })
      const id = newId()
      await redisStore(client).put(id, row)
      redis.pause()
      const late = await outcomeOf(hung.put(id, { ...row, version: 9 }, { replaces: 8 }))
      redis.resume()
      expect(late).toBeInstanceOf(VaultUnavailableError)
      await expect.poll(() => hung.get(id).catch(() => undefined)).toEqual(row)
    })

    it(`V16 P03 ${name}: unavailable after Redis is killed, and back after its restart`, async () => {
      const own = await startRedis()
      try {
        const client = await clients[name](own.url)
        const store = redisStore(client, { timeoutMs: 500 })
        const id = newId()
        await redisStore(client).put(id, row)
        await own.kill()
        for (const call of everyCall(store, id)) {
          const outcome = await outcomeOf(call())
          expect(outcome).toBeInstanceOf(VaultUnavailableError)
        }
        await own.restart()
        const recovered = () => store.scan().catch(() => undefined)
        await expect.poll(recovered).toBeDefined()
        expect(await redisStore(client).put(id, row)).toBe(true)
      } finally {
        await own.close()
      }
    })

    it(`${name}: a client that was closed is unavailable`, async () => {
      const client = await clients[name](redis.url)
      const store = redisStore(client, { timeoutMs: 500 })
      if (client instanceof Redis) client.disconnect()
      else client.destroy()
      expect(await outcomeOf(store.get(newId()))).toBeInstanceOf(VaultUnavailableError)
    })

    it(`V13 V19 ${name}: a prefix of any characters keeps its rows apart in the listing`, async () => {
      const client = await connect()
      const [wide, tight] = [
        redisStore(client, { prefix: `[a-z]*?\\^{${name}}:` }),
        redisStore(client, { prefix: 'm' }),
      ]
      const [first, second] = [newId(), newId()]
      await wide.put(first, row)
      await tight.put(second, row)
      expect((await wide.scan()).ids).toEqual([first])
      expect(await wide.get(second)).toBeUndefined()
    })

    it(`P04 ${name}: replies that refuse are errors with their code`, async () => {
      for (const reply of ['LOADING', 'READONLY', 'OOM', 'MISCONF', 'NOAUTH', 'MOVED']) {
        const server = await refusing(`-${reply} 3999 s3cr3t:6381\r\n`)
        const store = redisStore(await clients[name](server.url), { timeoutMs: 20_000 })
        for (const call of everyCall(store, newId())) {
          const outcome = await outcomeOf(call())
          expect(outcome).toMatchObject({ name: 'VaultUnavailableError', reason: reply })
          expect(String(outcome)).not.toContain('s3cr3t')
        }
        await server.close()
      }
    })
  }

  describeVaultStore(
    { describe, it },
    async () => {
      const client = new Redis(redis.url, { keyPrefix: 'own:[x]:' })
      closing.push(() => client.disconnect())
      return redisStore(client, { prefix: 'p:' })
    },
    { name: 'VaultStore contract, ioredis with a keyPrefix of its own' },
  )

  it('ioredis: a write whose reply was lost is sent again, and still says that it wrote', async () => {
    const proxy = await losingReplies(redis.url)
    const client = new Redis(proxy.url, { retryStrategy: () => 20 })
    client.on('error', () => {})
    closing.push(() => client.disconnect())
    const store = redisStore(client)
    const id = newId()
    await store.put(id, row)
    proxy.loseNext()
    expect(await store.put(id, { ...row, version: 2 }, { replaces: 1 })).toBe(true)
    expect(proxy.lost).toBe(1)
    await proxy.close()
  })

  it('rows past their time leave Redis by themselves', async () => {
    const client = await clients['node-redis'](redis.url)
    const store = redisStore(client, { prefix: 'ttl:' })
    const id = newId()
    await store.put(id, { ...row, keepUntilMs: Date.now() + 3_600_000 })
    expect(await client.pTTL(`ttl:${id}`)).toBeGreaterThan(3_590_000)
    await store.put(id, { ...row, keepUntilMs: Date.now() - 1 })
    await expect.poll(() => client.exists(`ttl:${id}`)).toBe(0)
  })

  it('takes what is no row of its own for corrupt, and what lies under another id', async () => {
    const client = await clients['node-redis'](redis.url)
    const store = redisStore(client)
    const [id, other] = [newId(), newId()]
    await client.set(`deputize:${id}`, 'something')
    await expect(store.get(id)).rejects.toMatchObject({ reason: 'not_a_vault_row' })
    expect(await store.put(id, row, { replaces: 0 })).toBe(false)
    await store.put(other, row)
    await client.set(`deputize:${id}`, (await client.get(`deputize:${other}`)) ?? '')
    await expect(store.get(id)).rejects.toMatchObject({ reason: 'row_of_another_id' })
  })
})

describe.skipIf(!redisServer)(needs(redisServer, 'redis-server', 'redisStore, a cluster'), () => {
  const nodes: RunningRedis[] = []

  beforeAll(async () => {
    nodes.push(await startRedis({ cluster: true }), await startRedis({ cluster: true }))
    const [first, second] = await Promise.all(nodes.map(({ url }) => clients.ioredis(url)))
    await first?.call('CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
    await second?.call('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
    const { hostname, port } = new URL(nodes[0]?.url ?? '')
    await second?.call('CLUSTER', 'MEET', hostname, port, `${nodes[0]?.busPort}`)
    const ready = async () => {
      for (const node of [first, second]) {
        const info = String(await node?.call('CLUSTER', 'INFO'))
        expect(info).toMatch(/cluster_state:ok[\s\S]*cluster_known_nodes:2/)
      }
    }
    await vi.waitFor(ready, { timeout: 100_000, interval: 200 })
  })
  afterAll(() => Promise.all(nodes.map((node) => node.close())))

  const openNodeRedis = async () => {
    const cluster = createCluster({ rootNodes: [{ url: nodes[0]?.url ?? '' }] })
    cluster.on('error', () => {})
    await cluster.connect()
    closing.push(() => cluster.destroy())
    return redisStore(cluster)
  }
  const openIoredis = async () => {
    const { hostname, port } = new URL(nodes[0]?.url ?? '')
    const cluster = new Redis.Cluster([{ host: hostname, port: Number(port) }])
    cluster.on('error', () => {})
    closing.push(() => cluster.disconnect())
    return redisStore(cluster)
  }

  describeVaultStore({ describe, it }, openNodeRedis, {
    name: 'VaultStore contract, node-redis cluster',
  })
  describeVaultStore({ describe, it }, openIoredis, {
    name: 'VaultStore contract, ioredis cluster',
  })

  it('rejects a listing that was begun with other servers', async () => {
    const store = await openNodeRedis()
    await store.put(newId(), row)
    const { cursor } = await store.scan()
    expect(cursor).toMatch(/^1 0 [0-9a-f]+ 127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$/)
    const moved = store.scan(cursor?.replace(/\d+$/, '1'))
    await expect(moved).rejects.toMatchObject({ reason: 'cluster_changed' })
  })
})

interface Fake {
  readonly url: string
  close(): Promise<void>
}

async function listen(server: Server, sockets: Set<Socket>): Promise<Fake> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    url: `redis://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** A server that says `reply` to every script, and is content with what clients say at the start. */
async function refusing(reply: string): Promise<Fake> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      for (const command of String(chunk).split(/^(?=\*\d+\r\n)/m)) {
        if (/^\*\d+\r\n\$\d+\r\neval\r\n/i.test(command)) socket.write(reply)
        else if (/\r\ninfo\r\n/i.test(command)) socket.write('$9\r\nloading:0\r\n')
        else socket.write('+OK\r\n')
      }
    })
  })
  return listen(server, sockets)
}

/** Stands between a client and Redis; when told so, passes a command on and breaks before the reply. */
async function losingReplies(url: string) {
  const sockets = new Set<Socket>()
  const { createConnection } = await import('node:net')
  const state = { lose: false, lost: 0 }
  const server = createServer((socket) => {
    const up = createConnection(Number(new URL(url).port), '127.0.0.1')
    for (const one of [socket, up]) {
      sockets.add(one)
      one.on('error', () => {})
    }
    socket.on('data', (chunk) => up.write(chunk))
    socket.on('close', () => up.destroy())
    up.on('data', (chunk) => {
      if (!state.lose) return void socket.write(chunk)
      state.lose = false
      state.lost++
      socket.destroy()
    })
  })
  const fake = await listen(server, sockets)
  return {
    ...fake,
    get lost() {
      return state.lost
    },
    loseNext() {
      state.lose = true
    },
  }
}
