/**
 * What opening a row of the vault costs, against node:crypto alone and Web Crypto alone.
 *
 *   npm run bench open-row [rounds]
 *
 * A token of 1.5 kB. The raw case takes nonce, ciphertext and tag off a row whose key and additional data it holds ready;
 * the vault also finds the key in the ring, compares the commitment and makes the additional data. `node:crypto` alone has
 * everything in hand. CPU time, cases in turn in one process.
 */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { Envelope } from '../src/vault/envelope.js'
import { localKeys } from '../src/vault/key-ring.js'
import { memoryStore } from '../src/vault/memory-store.js'
import { tokenVault } from '../src/vault/token-vault.js'
import { webPrimitives } from '../src/vault/web-primitives.js'
import { type Case, measure, printCosts, printGoals } from './rounds.js'

const rounds = Number(process.argv[2] ?? 41)
const TOKEN_BYTES = 1_500

const plain = Buffer.from(randomBytes(TOKEN_BYTES).toString('base64').slice(0, TOKEN_BYTES))
const rowId = randomBytes(32).toString('hex')
const keys = localKeys(randomBytes(32))

const bare = randomBytes(32)
const key = createSecretKey(bare) // the quick way to name a key, on Node 24 by a factor of four
const options = { authTagLength: 16 }
const nonce = randomBytes(12)
const additional = randomBytes(64 + 8 + 3 + 16 + 32)
const cipher = createCipheriv('aes-256-gcm', key, nonce, options).setAAD(additional)
const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()])
const tag = cipher.getAuthTag()

const raw: Case = {
  name: 'node:crypto',
  run(count) {
    for (let at = 0; at < count; at++) {
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, options)
      decipher.setAAD(additional)
      decipher.setAuthTag(tag)
      decipher.update(ciphertext)
      decipher.final()
    }
  },
}
/** The same, taken off a row first, as any caller has to. */
const row = Buffer.concat([nonce, ciphertext, tag])
const rawRow: Case = {
  name: 'node:crypto, from a row',
  run(count) {
    for (let at = 0; at < count; at++) {
      const decipher = createDecipheriv('aes-256-gcm', key, row.subarray(0, 12), options)
      decipher.setAAD(additional)
      decipher.setAuthTag(row.subarray(row.length - 16))
      decipher.update(row.subarray(12, row.length - 16))
      decipher.final()
    }
  },
}

const subtleKey = await crypto.subtle.importKey('raw', bare, 'AES-GCM', false, ['decrypt'])
const body = Buffer.concat([ciphertext, tag])
const subtle: Case = {
  name: 'crypto.subtle',
  async run(count) {
    const parameters = { name: 'AES-GCM', iv: nonce, additionalData: additional, tagLength: 128 }
    for (let at = 0; at < count; at++) await crypto.subtle.decrypt(parameters, subtleKey, body)
  },
}

async function opening(name: string, envelope: Envelope): Promise<Case> {
  const sealed = await envelope.seal(plain, rowId, 1)
  return {
    name,
    async run(count) {
      for (let at = 0; at < count; at++) await envelope.open(sealed, rowId, 1)
    },
  }
}

const vault = tokenVault({ store: memoryStore(), keys })
const grant = { kind: 'grant', owner: ['https://idp.example', 'user', 'provider'] } as const
await vault.write(grant, { token: plain.toString() }, { replaces: 0 })
const reading: Case = {
  name: 'the vault, read() from memory',
  async run(count) {
    for (let at = 0; at < count; at++) await vault.read(grant)
  },
}

const opened = await opening('the vault', new Envelope(keys))
const web = await opening(
  'the vault, by Web Crypto',
  new Envelope(keys, { primitives: webPrimitives }),
)

const samples = await measure([raw, rawRow, subtle, opened, web, reading], { rounds })
console.log(`Node ${process.version}, a token of ${TOKEN_BYTES} bytes, ${rounds} rounds`)
printCosts(samples)
printGoals(samples, [{ of: opened.name, against: rawRow.name, atLeast: 0.9 }])
