/**
 * Whoever copies the store of a vault finds no secret in it, in whatever spelling.
 *
 *   npm run proof dumps
 *
 * Goes through consents, refreshes and signing keys with the library itself, keeps every secret that passed by, and looks
 * for each in all that lies in the store: midway, with links that wait for their users, and at the end.
 * PROOF_COUNT=small takes five users instead of fifty.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { AuthorizationRequiredError } from '../src/errors/index.js'
import type { PrivateJwk } from '../src/jwt/sign.js'
import { OutboundCredentialProvider } from '../src/outbound/credential-provider.js'
import { oauth2 } from '../src/providers/oauth2.js'
import { startAuthorizationServer } from '../src/testing/authorization-server.js'
import { localKeys } from '../src/vault/key-ring.js'
import type { VaultStore } from '../src/vault/store.js'
import { tokenVault } from '../src/vault/token-vault.js'
import { WorkloadIdentity } from '../src/workload/identity.js'
import { signingKeys } from '../src/workload/signing-keys.js'
import { dumpPlaces } from '../test/support/dump-places.js'
import { spellings } from '../test/support/spellings.js'

const users = process.env.PROOF_COUNT === 'small' ? 5 : 50
const callbackUrl = 'http://127.0.0.1:1/callback'
const issuer = 'https://login.example.com'
const secretNames = [
  'access_token',
  'refresh_token',
  'id_token',
  'code',
  'code_verifier',
  'client_secret',
]

/** Every secret by what it is: all that a token endpoint was told and said. */
const secrets = new Map<string, string>()
const note = (name: string, value: unknown) => {
  if (typeof value === 'string' && value.length >= 8) secrets.set(value, name)
}
const realFetch = globalThis.fetch
globalThis.fetch = async (input, init) => {
  const request = new Request(input, init)
  const body = await request.clone().text()
  for (const [name, value] of new URLSearchParams(body))
    if (secretNames.includes(name)) note(name, value)
  const response = await realFetch(request)
  const text = await response.clone().text()
  if (request.method === 'POST' && text.startsWith('{')) {
    for (const [name, value] of Object.entries(JSON.parse(text)))
      if (secretNames.includes(name)) note(name, value)
  }
  return response
}

const isIn = (dump: Buffer, text: string) =>
  spellings(text).some((spelling) => dump.includes(spelling))

/** Uses the library as an agent does; `midway` runs while links wait for their users. */
async function live(store: VaultStore, midway: () => Promise<void>): Promise<void> {
  await using server = await startAuthorizationServer({ accessTokenTtlMs: 1_000 }) // over before it is asked for
  const vault = tokenVault({ store, keys: localKeys(randomBytes(32)) })
  note('client secret', server.clientSecret)
  let inFront: string | undefined
  const credentials = new OutboundCredentialProvider({
    providers: {
      files: oauth2({
        issuer: server.issuer,
        clientId: server.clientId,
        clientSecret: server.clientSecret,
        allowInsecureLoopback: true,
      }),
    },
    vault,
    callbackUrl,
    identifyUser: () => (inFront === undefined ? undefined : { issuer, subject: inFront }),
    allowInsecureLoopback: true,
  })
  const workload = new WorkloadIdentity({
    name: 'files-agent',
    issuer: 'https://agents.example',
    keys: signingKeys({ vault }),
  })
  await workload.actAsSelf().workloadAccessToken({ audience: 'https://api.example' })
  const row = { kind: 'signing-keys', owner: ['https://agents.example', 'files-agent'] } as const
  note('private key', (await vault.read<PrivateJwk>(row))?.value.d)

  const waiting: { user: string; link: string }[] = []
  for (let n = 0; n < users; n++) {
    const user = `user-${n}-${randomBytes(4).toString('hex')}`
    note('user', user) // no secret, and yet the store learns none
    const acting = workload.unverifiedUser({ issuer, subject: user })
    const error = await credentials
      .getToken(acting, { provider: 'files' })
      .catch((reason: unknown) => reason)
    assert(error instanceof AuthorizationRequiredError)
    note('state', new URL(error.authorizationUrl).searchParams.get('state'))
    waiting.push({ user, link: error.authorizationUrl })
  }
  await midway()
  for (const { user, link } of waiting) {
    const { headers } = await realFetch(link, { redirect: 'manual' })
    const back = headers.get('location')!
    note('code', new URL(back).searchParams.get('code'))
    inFront = user
    const page = await credentials.handleCallback(new Request(back))
    assert.equal(page.status, 200)
  }
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  for (const { user } of waiting) {
    const acting = workload.unverifiedUser({ issuer, subject: user })
    await credentials.getToken(acting, { provider: 'files' }) // refreshed, and rotated
  }
  await credentials.close()
}

let [found, unseen, looked] = [0, 0, 0]
for (const place of dumpPlaces) {
  if (place.missing) {
    console.log(`${place.name}: not looked at, ${place.missing} is missing here`)
    unseen++
    continue
  }
  secrets.clear()
  const { store, dump, close } = await place.open()
  const dumps: Buffer[] = []
  const take = async () => void dumps.push(Buffer.from(await dump()))
  await live(store, take)
  await take()
  await close()

  const whole = Buffer.concat(dumps)
  for (const [secret, name] of secrets) {
    // What looks must be able to see.
    assert(isIn(Buffer.from(`"${Buffer.from(`..${secret}..`).toString('base64')}"`), secret))
    if (!isIn(whole, secret)) continue
    found++
    console.log(`FOUND  ${place.name}: a ${name}`)
  }
  const kinds = new Map<string, number>()
  for (const name of secrets.values()) kinds.set(name, (kinds.get(name) ?? 0) + 1)
  console.log(
    `${place.name}: ${whole.length} bytes; looked for ${[...kinds].map(([name, count]) => `${count} ${name}`).join(', ')}`,
  )
  assert(whole.length > users * 1_000, 'the dump holds too little')
  looked += secrets.size
}
console.log(`secrets found: ${found} of ${looked}; places not looked at: ${unseen}`)
if (found > 0 || looked < users * 5) process.exitCode = 1
