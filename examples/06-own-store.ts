/**
 * A vault on a store of your own: four methods, checked by the contract suite, and tokens that survive a restart.
 *
 *   npm run example 06-own-store
 *
 * Starts an authorization server of its own, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  localKeys,
  OutboundCredentialProvider,
  oauth2,
  tokenVault,
  type VaultRow,
  type VaultStore,
  WorkloadIdentity,
} from 'deputize'
import { describeVaultStore, startAuthorizationServer } from 'deputize/testing'

// 1. Write the store. It sees ciphertext under hashed names; `put` must compare and write in one step.
class TableStore implements VaultStore {
  readonly #table = new Map<string, VaultRow>()

  async get(id: string) {
    const row = this.#table.get(id)
    return row && { ...row, sealed: row.sealed.slice() }
  }

  async put(id: string, row: VaultRow, options: { readonly replaces?: number } = {}) {
    const { replaces } = options
    if (replaces !== undefined && (this.#table.get(id)?.version ?? 0) !== replaces) return false
    this.#table.set(id, { ...row, sealed: row.sealed.slice() })
    return true
  }

  async delete(id: string) {
    this.#table.delete(id)
  }

  async scan() {
    return { ids: [...this.#table.keys()] }
  }
}

// 2. Run the contract suite against it; in a project of yours `describe` and `it` are those of your test runner.
const cases: [name: string, run: () => unknown][] = []
describeVaultStore(
  { describe: (_name, body) => body(), it: (name, run) => void cases.push([name, run]) },
  () => new TableStore(),
)
for (const [, run] of cases) await run()
console.log(`${cases.length} rules of the contract hold.`)

// 3. Give it to a vault, with a key that outlives the process.
await using server = await startAuthorizationServer()
const store = new TableStore()
const key = randomBytes(32)
const start = () =>
  new OutboundCredentialProvider({
    providers: {
      api: oauth2({
        issuer: server.issuer,
        clientId: server.clientId,
        clientSecret: server.clientSecret,
        allowInsecureLoopback: true, // this machine only; leave it out everywhere else
      }),
    },
    vault: tokenVault({ store, keys: localKeys(key) }),
  })
const acting = new WorkloadIdentity({ name: 'stored-agent' }).actAsSelf()
const before = await start().getToken(acting, { provider: 'api' })
const after = await start().getToken(acting, { provider: 'api' }) // as after a restart
assert.equal(after.value, before.value)
assert.equal(server.requests.filter((line) => line === 'POST /token').length, 1)
console.log('The token survived the restart: one request in all.')
