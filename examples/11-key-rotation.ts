/**
 * A new vault key while tokens are read and written: put it in front, rewrap, take the old one away.
 *
 *   npm run example 11-key-rotation
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
  WorkloadIdentity,
} from 'deputize'
import { KeyUnavailableError } from 'deputize/errors'
import { startAuthorizationServer } from 'deputize/testing'
import { type KeyRing, memoryStore } from 'deputize/vault'

await using server = await startAuthorizationServer()
const store = memoryStore()
const start = (keys: KeyRing) => {
  const vault = tokenVault({ store, keys })
  const credentials = new OutboundCredentialProvider({
    providers: {
      api: oauth2({
        issuer: server.issuer,
        clientId: server.clientId,
        clientSecret: server.clientSecret,
        allowInsecureLoopback: true, // this machine only; leave it out everywhere else
      }),
    },
    vault,
  })
  return { vault, credentials }
}
const agents = Array.from({ length: 40 }, (_, n) =>
  new WorkloadIdentity({ name: `agent-${n}` }).actAsSelf(),
)
const readAll = ({ credentials }: ReturnType<typeof start>) =>
  Promise.all(agents.map((acting) => credentials.getToken(acting, { provider: 'api' })))
const asked = () => server.requests.filter((line) => line === 'POST /token').length

// 1. Tokens lie sealed with the old key.
const [oldKey, newKey] = [randomBytes(32), randomBytes(32)]
await readAll(start(localKeys(oldKey)))
assert.equal(asked(), agents.length)

// 2. Every process first learns to open the new key; only then does it come to the front, and seals.
const ready = start(localKeys(oldKey, newKey))
const rotated = start(localKeys(newKey, oldKey))

// 3. Rewrap, while all of them read. It may be aborted and started again: what is done stays done.
let running = true
const reading = (async () => {
  while (running) {
    await readAll(ready)
    await readAll(rotated)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
})()
const controller = new AbortController()
const onProgress = () => controller.abort(new Error('stopped on the way'))
await assert.rejects(rotated.vault.rewrap({ signal: controller.signal, onProgress }), /on the way/)
const result = await rotated.vault.rewrap({
  onProgress: ({ seen, rewrapped }) => console.log(`${seen} rows seen, ${rewrapped} rewrapped`),
})
running = false
await reading
assert.equal(result.failed, 0)
assert(result.skipped > 0)

// 4. Nothing failed, so the old key may go.
const after = start(localKeys(newKey))
await readAll(after)
assert.equal(asked(), agents.length) // every token was found: none was fetched again
await assert.rejects(readAll(start(localKeys(oldKey))), KeyUnavailableError)
console.log(`${agents.length} tokens found under the new key, none fetched again.`)
