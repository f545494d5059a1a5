/**
 * A row of the vault that was changed, cut, moved or downgraded never opens: always a typed error.
 *
 *   npm run proof tamper
 *
 * Rows of every kind, under local keys and under data keys of AWS KMS (a double on this machine), through the vault
 * itself. PROOF_COUNT=small flips two bits a byte instead of trying every value.
 */
import { randomBytes } from 'node:crypto'
import { KMS } from '@aws-sdk/client-kms'
import { kmsKeys } from '../src/aws/kms-keys.js'
import { isDeputizeError } from '../src/errors/base.js'
import { type KeyRing, localKeys } from '../src/vault/key-ring.js'
import type { RowKey, RowKind } from '../src/vault/row-key.js'
import type { VaultRow, VaultStore } from '../src/vault/store.js'
import { tokenVault } from '../src/vault/token-vault.js'
import { kmsKeyIds, startKms } from '../test/support/kms-double.js'

const small = process.env.PROOF_COUNT === 'small'
const masks = small ? [1, 0x80] : Array.from({ length: 255 }, (_, at) => at + 1)
const typed = new Set(['ERR_VAULT_CORRUPT', 'ERR_KEY_UNAVAILABLE'])
const secret = 'canary-of-the-vault'

const values: Record<RowKind, object> = {
  grant: { status: 'active', refreshToken: secret, scopes: ['a'], tokens: { '': secret } },
  lease: { holder: secret, beat: 1, unchangedMs: 0 },
  'consent-session': { state: 'pending', codeVerifier: secret, nonce: secret },
  connections: { accounts: [{ provider: secret, label: 'me' }], pending: [] },
  'signing-keys': { kty: 'EC', crv: 'P-256', d: secret },
  'rewrap-place': { cursor: secret, keyId: 'k', progress: { seen: 1 } },
}

/** One row as it lies in the store. */
interface Place {
  readonly vault: string
  readonly key: RowKey
  readonly id: string
  readonly row: VaultRow
}

const store = new Map<string, VaultRow>()
const port: VaultStore = {
  get: async (id) => store.get(id),
  put: async (id, row) => store.set(id, row) !== undefined,
  delete: async (id) => void store.delete(id),
  scan: async () => ({ ids: [...store.keys()] }),
}

/** Rows of every kind: two owners, two vaults, two versions. */
async function places(keys: KeyRing): Promise<Place[]> {
  const all: Place[] = []
  for (const vault of ['prod', 'test']) {
    for (const kind of Object.keys(values) as RowKind[]) {
      for (const user of ['u1', 'u2']) {
        const key: RowKey = { kind, owner: ['https://agents.example', 'agent', user] }
        const its = tokenVault({ store: port, keys, name: vault })
        const id = await its.address(key)
        for (const replaces of [0, 1]) {
          await its.write(key, values[kind], { replaces })
          all.push({ vault, key, id, row: store.get(id)! })
          if (!(await its.read(key))) throw new Error('what was not tampered with must open')
        }
      }
    }
  }
  return all
}

const counts = new Map<string, number>()
const codes = new Map<string, number>()
let [opened, untyped, shown] = [0, 0, 0]

/** Reads `row` at `place`: it must fail, with an error of ours that shows nothing. */
async function refused(what: string, place: Place, row: VaultRow, keys: KeyRing): Promise<void> {
  counts.set(what, (counts.get(what) ?? 0) + 1)
  store.set(place.id, row)
  try {
    await tokenVault({ store: port, keys, name: place.vault }).read(place.key)
    opened++
    console.log(`OPENED  ${what}: ${place.key.kind}`)
  } catch (error) {
    const code = isDeputizeError(error) ? error.code : 'untyped'
    codes.set(code, (codes.get(code) ?? 0) + 1)
    if (!typed.has(code)) {
      untyped++
      console.log(`UNTYPED ${what}: ${String(error)}`)
    }
    if (`${error} ${(error as Error).stack} ${JSON.stringify(error)}`.includes(secret)) shown++
  }
}

const cutTo = (row: VaultRow, from: number, to?: number) => ({
  ...row,
  sealed: row.sealed.slice(from, to),
})
function changed(row: VaultRow, at: number, value: number): VaultRow {
  const sealed = row.sealed.slice()
  sealed[at] = value
  return { ...row, sealed }
}

async function tamper(name: string, keys: KeyRing, flips: readonly number[]): Promise<void> {
  const all = await places(keys)
  const one = all.filter(
    ({ vault, key, row }) => vault === 'prod' && key.owner[2] === 'u1' && row.version === 2,
  )
  for (const place of one) {
    const { row } = place
    const { length } = row.sealed
    for (let at = 0; at < length; at++) {
      for (const mask of flips) {
        await refused(
          `${name}: byte changed`,
          place,
          changed(row, at, row.sealed[at]! ^ mask),
          keys,
        )
      }
    }
    for (let to = 0; to < length; to++) {
      await refused(`${name}: cut at the end`, place, cutTo(row, 0, to), keys)
      if (to > 0) await refused(`${name}: cut at the start`, place, cutTo(row, to), keys)
    }
    const longer = { ...row, sealed: Buffer.concat([row.sealed, randomBytes(16)]) }
    await refused(`${name}: lengthened`, place, longer, keys)
    for (let format = 0; format < 256; format++) {
      if (format === row.sealed[0]) continue
      await refused(`${name}: another format`, place, changed(row, 0, format), keys)
    }
    for (const version of [1, 3, 2 ** 32 + 2, Number.MAX_SAFE_INTEGER]) {
      await refused(`${name}: another version`, place, { ...row, version }, keys)
    }
  }
  for (const from of all) {
    for (const to of all) {
      if (from === to) continue
      // In its place, with its own version and with the one that was there.
      if (from.id !== to.id) await refused(`${name}: moved`, to, from.row, keys)
      if (from.id !== to.id || from.row.version !== to.row.version) {
        await refused(`${name}: moved`, to, { ...from.row, version: to.row.version }, keys)
      }
      // The header of one, the rest of the other.
      const head = 3 + to.row.sealed[1]! * 256 + to.row.sealed[2]! + 32
      const sealed = Buffer.concat([to.row.sealed.slice(0, head), from.row.sealed.slice(head)])
      if (from.id !== to.id)
        await refused(`${name}: moved under its header`, to, { ...to.row, sealed }, keys)
    }
  }
  store.clear()
}

const started = performance.now()
await tamper('local keys', localKeys(randomBytes(32), randomBytes(32)), masks)

const kms = await startKms()
const client = new KMS({
  region: 'eu-west-1',
  endpoint: kms.endpoint,
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
})
const [keyId] = kmsKeyIds
await tamper('KMS', kmsKeys({ client, keyId }), small ? [1] : [1, 0x10, 0x80])
client.destroy()
await kms.close()

for (const [what, count] of counts) console.log(`${String(count).padStart(8)}  ${what}`)
for (const [code, count] of codes) console.log(`${String(count).padStart(8)}  ${code}`)
const tries = [...counts.values()].reduce((sum, count) => sum + count, 0)
console.log(
  `${tries} tampered rows in ${Math.round((performance.now() - started) / 1000)} s: ${opened} opened, ${untyped} without a typed error, ${shown} that show a secret`,
)
if (opened + untyped + shown + kms.findings.length > 0 || tries < 1_000) process.exitCode = 1
