import {
  generateSigningJwk,
  importSigningKey,
  type PrivateJwk,
  type SigningKey,
} from '../jwt/sign.js'
import { checkOptionNames } from '../option-names.js'
import { SharedWork } from '../shared-work.js'
import type { TokenVault } from '../vault/token-vault.js'
import type { WorkloadRef } from './acting.js'

/** Where a workload's signing keys come from. Made by {@link signingKeys}. */
export interface SigningKeys {
  /** The keys, the one that signs first; all are published. */
  load(workload: WorkloadRef): Promise<readonly [SigningKey, ...SigningKey[]]>
}

/** What {@link signingKeys} takes: one of the two, or nothing. */
export interface SigningKeysOptions {
  /** Keys of your own, private P-256 JWKs: the first signs, all are published. Rotate by putting a new one in front. */
  readonly keys?: readonly PrivateJwk[]
  /** Keeps a generated key there, sealed, so that every process of the agent signs with the same one. */
  readonly vault?: TokenVault
}

/**
 * ES256 signing keys: yours, or one generated at first use and kept in the vault, or in memory until the process ends.
 *
 * @throws `TypeError` Both options are given, or `keys` is empty.
 */
export function signingKeys(options: SigningKeysOptions = {}): SigningKeys {
  checkOptionNames(options, 'signingKeys()', { keys: true, vault: true })
  const { keys, vault } = options
  if (keys && vault) throw new TypeError('signingKeys takes keys or vault, not both.')
  if (keys !== undefined && !(Array.isArray(keys) && keys.length > 0)) {
    throw new TypeError('keys must hold at least one private JWK.')
  }
  if (vault !== undefined && typeof vault?.read !== 'function') {
    throw new TypeError('vault must be made by tokenVault().')
  }
  const load = async (workload: WorkloadRef) => {
    const jwks = keys ?? [vault ? await keptKey(vault, workload) : await generateSigningJwk()]
    const [first, ...rest] = await Promise.all(jwks.map(importSigningKey))
    return [first!, ...rest] as const
  }
  // By workload: two that share these options must not share a generated key.
  const loaded = new Map<string, Awaited<ReturnType<typeof load>>>()
  const loading = new SharedWork<Awaited<ReturnType<typeof load>>>()
  return {
    async load(workload) {
      const name = JSON.stringify([workload.issuer ?? null, workload.name])
      const known = loaded.get(name)
      if (known) return known
      return loading.run(name, async () => {
        // Of two loads at once, which only a request that ended leaves behind, the first to end counts.
        const made = loaded.get(name) ?? (await load(workload))
        const first = loaded.get(name) ?? made
        loaded.set(name, first)
        return first
      })
    },
  }
}

/** The key in the vault; the first process to ask makes it, and all others take that one. */
async function keptKey(vault: TokenVault, workload: WorkloadRef): Promise<PrivateJwk> {
  const row = { kind: 'signing-keys', owner: [workload.issuer, workload.name] } as const
  const held = await vault.read<PrivateJwk>(row)
  let key = held?.value
  if (key) return key
  const made = await generateSigningJwk()
  await vault.change<PrivateJwk>(row, ({ value, corrupt }) => {
    if (corrupt) throw corrupt
    key = value ?? made
    return value ? undefined : { value: made }
  })
  return key!
}
