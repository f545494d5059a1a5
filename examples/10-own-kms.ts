/**
 * Vault keys from a key service of your own: data keys that it wraps, and rows that carry them wrapped.
 *
 *   npm run example 10-own-kms
 *
 * Brings a toy key service of its own, needs no account, and exits non-zero on any surprise.
 */
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { OutboundCredentialProvider, oauth2, tokenVault, WorkloadIdentity } from 'deputize'
import { KeyUnavailableError } from 'deputize/errors'
import { startAuthorizationServer } from 'deputize/testing'
import { type KeyRing, memoryStore, type VaultKey } from 'deputize/vault'

/** Stands for an HSM or a key service: its key never leaves it. `context` is bound to what it wraps. */
class ToyHsm {
  readonly #key = randomBytes(32)
  reachable = true
  calls = 0

  async wrap(plain: Uint8Array, context: string) {
    this.#count()
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(context))
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  async unwrap(wrapped: Buffer, context: string) {
    this.#count()
    const options = { authTagLength: 16 }
    const nonce = wrapped.subarray(0, 12)
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, options)
    decipher.setAAD(Buffer.from(context)).setAuthTag(wrapped.subarray(-16))
    return Buffer.concat([decipher.update(wrapped.subarray(12, -16)), decipher.final()])
  }

  #count() {
    this.calls++
    if (!this.reachable) throw new Error('the HSM does not answer')
  }
}

// 1. Write the ring. The id of a key stands in each row sealed with it: here it is the wrapped key itself.
function hsmKeys(hsm: ToyHsm): KeyRing {
  const kept = new Map<string, VaultKey>() // bound it, and drop keys after minutes, in a program that lives long
  let newest: Promise<VaultKey> | undefined
  const make = async (vault: string): Promise<VaultKey> => {
    const bytes = randomBytes(32)
    const key = { id: `hsm:${(await hsm.wrap(bytes, vault)).toString('base64url')}`, bytes }
    kept.set(`${vault} ${key.id}`, key)
    return key
  }
  return {
    newest({ vault }) {
      newest ??= make(vault)
      newest.catch(() => {
        newest = undefined // asked for again next time
      })
      return newest
    },

    find(id, { vault }) {
      if (!id.startsWith('hsm:')) return undefined
      return kept.get(`${vault} ${id}`) ?? unwrap(id, vault)
    },

    isCurrent: (id) => id.startsWith('hsm:'), // data keys differ; the key that wraps them is one
  }

  async function unwrap(id: string, vault: string): Promise<VaultKey> {
    const bytes = await hsm.unwrap(Buffer.from(id.slice(4), 'base64url'), vault)
    const key = { id, bytes }
    kept.set(`${vault} ${id}`, key)
    return key
  }
}

// 2. Give it to the vault.
await using server = await startAuthorizationServer()
const hsm = new ToyHsm()
const store = memoryStore()
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
    vault: tokenVault({ store, keys: hsmKeys(hsm) }),
  })
const acting = new WorkloadIdentity({ name: 'guarded-agent' }).actAsSelf()
const token = await start().getToken(acting, { provider: 'api' })
console.log(`Sealed with a data key that the HSM wrapped: ${hsm.calls} call.`)

// 3. Another process finds the wrapped key in the row, and asks the HSM for it once.
const another = start()
assert.equal((await another.getToken(acting, { provider: 'api' })).value, token.value)
const { calls } = hsm
hsm.reachable = false
assert.equal((await another.getToken(acting, { provider: 'api' })).value, token.value)
assert.equal(hsm.calls, calls)
console.log('While the HSM is away, a process that has the key goes on.')

await assert.rejects(start().getToken(acting, { provider: 'api' }), (error) => {
  assert(error instanceof KeyUnavailableError)
  return error.retryable
})
console.log('One that has not is refused, and may try again: no token is fetched anew.')
assert.equal(server.requests.filter((line) => line === 'POST /token').length, 1)
