import { describe, expect, it } from 'vitest'
import { actingFor } from '../../test/support/credentials.js'
import { OriginNotAllowedError } from '../errors/outbound.js'
import type { Fetch } from '../http.js'
import { OutboundCredentialProvider } from '../outbound/credential-provider.js'
import { apiKey } from '../providers/api-key.js'
import { oauth2 } from '../providers/oauth2.js'
import type { Provider } from '../providers/provider.js'
import { localKeys } from '../vault/key-ring.js'
import { memoryStore } from '../vault/memory-store.js'
import { isIndexRowId } from '../vault/row-key.js'
import type { VaultStore } from '../vault/store.js'
import { tokenVault } from '../vault/token-vault.js'
import { authenticatedFetch } from './authenticated-fetch.js'

const ada = actingFor('ada')
const never = () => new Promise<never>(() => {})
const origins = ['https://api.example']

function open(
  provider: Provider,
  options: Partial<ConstructorParameters<typeof OutboundCredentialProvider>[0]> = {},
  store: VaultStore = memoryStore(),
) {
  return new OutboundCredentialProvider({
    providers: { api: provider },
    vault: tokenVault({ store, keys: localKeys(new Uint8Array(32).fill(7)) }),
    callbackUrl: 'https://app.example/callback',
    identifyUser: () => undefined,
    ...options,
  })
}

/** A provider that needs no metadata. */
const endpoints = { token: 'https://idp.example/token', authorization: 'https://idp.example/auth' }
const ready = oauth2({
  issuer: 'https://idp.example',
  clientId: 'c',
  clientSecret: 's',
  origins,
  endpoints,
})

const hanging: [string, (signal: AbortSignal) => Promise<unknown>][] = [
  [
    'a store',
    (signal) =>
      open(ready, {}, { ...memoryStore(), get: never }).getToken(ada, { provider: 'api', signal }),
  ],
  [
    'a key ring',
    (signal) =>
      open(ready, {
        vault: tokenVault({ store: memoryStore(), keys: { newest: never, find: never } }),
      }).getToken(ada, { provider: 'api', signal }),
  ],
  [
    'the metadata of a server',
    (signal) =>
      open(
        oauth2({ issuer: 'https://idp.example', clientId: 'c', clientSecret: 's', fetch: never }),
      ).getToken(ada, { provider: 'api', signal }),
  ],
  [
    'onAuthorizationRequired()',
    (signal) =>
      open(ready).getToken(ada, { provider: 'api', signal, onAuthorizationRequired: never }),
  ],
  [
    'the function of an API key',
    (signal) =>
      authenticatedFetch({
        provider: 'api',
        acting: ada,
        credentials: open(apiKey({ key: never, origins })),
      })('https://api.example/', { signal }),
  ],
  [
    'a fetch that does not listen',
    (signal) =>
      authenticatedFetch({
        provider: 'api',
        acting: ada,
        credentials: open(apiKey({ key: 'k', origins })),
        fetch: never,
      })(new Request('https://api.example/', { signal })),
  ],
]

describe('a signal ends the waiting of its caller', () => {
  it.each(hanging)(
    'for %s that never answers, and in a turn of the event loop',
    async (_, call) => {
      const stop = new AbortController()
      const waiting = call(stop.signal)
      await new Promise((done) => setImmediate(done))
      stop.abort(new Error('enough'))
      await expect(waiting).rejects.toThrow('enough')
    },
  )

  it('and begins no consent for a caller who has gone', async () => {
    const store = memoryStore()
    let puts = 0
    const stop = new AbortController()
    const counting: VaultStore = {
      ...store,
      get: async (id) => {
        stop.abort(new Error('gone'))
        return store.get(id)
      },
      put: async (...args) => {
        if (!isIndexRowId(args[0])) puts++
        return store.put(...args)
      },
    }
    const call = open(ready, {}, counting).getToken(ada, { provider: 'api', signal: stop.signal })
    await expect(call).rejects.toThrow('gone')
    await new Promise((done) => setImmediate(done))
    expect(puts).toBe(0)
  })
})

describe('the signal of a Request', () => {
  const signalOf = async (init: RequestInit | undefined) => {
    let seen: AbortSignal | null | undefined
    const fetch: Fetch = async (_, sent) => {
      seen = sent?.signal
      return new Response('ok')
    }
    const credentials = open(apiKey({ key: 'k', origins }))
    const stop = new AbortController()
    const request = new Request('https://api.example/', { signal: stop.signal })
    await authenticatedFetch({ provider: 'api', acting: ada, credentials, fetch })(request, init)
    stop.abort()
    return seen?.aborted
  }

  it('reaches fetch, also beside a signal that is undefined', async () => {
    expect(await signalOf(undefined)).toBe(true)
    expect(await signalOf({})).toBe(true)
    expect(await signalOf({ signal: undefined } as unknown as RequestInit)).toBe(true)
  })

  it('is replaced by null or another, as fetch() does', async () => {
    expect(await signalOf({ signal: null })).toBeUndefined()
    expect(await signalOf({ signal: new AbortController().signal })).toBe(false)
  })
})

describe('W01 a redirect to an address that may not be called', () => {
  it.each([
    'https://169.254.169.254/latest/meta-data/iam',
    'https://127.0.0.1/',
    'https://localhost/',
    'https://[::1]/',
    'https://10.0.0.1/',
    'https://metadata.google.internal/',
    'https://user:pw@api.example/',
    'http://api.example/',
  ])('is refused: %s', async (location) => {
    let calls = 0
    const fetch: Fetch = async () => {
      calls++
      return calls === 1
        ? new Response(null, { status: 302, headers: { location } })
        : new Response('internal')
    }
    const credentials = open(apiKey({ key: 'k', origins }))
    const call = authenticatedFetch({ provider: 'api', acting: ada, credentials, fetch })
    await expect(call('https://api.example/')).rejects.toBeInstanceOf(OriginNotAllowedError)
    expect(calls).toBe(1)
  })
})
