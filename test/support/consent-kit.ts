/** Processes of one agent over one store, and a token endpoint that rotates refresh tokens: for tests of what happens in which order. */
import {
  type AuditEvent,
  findAuthorizationRequired,
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  oauth2,
  tokenVault,
  type VaultStore,
  WorkloadIdentity,
} from 'deputize'

const ISSUER = 'https://as.example'
const APP = 'https://app.example'
const KEY = Buffer.alloc(32, 5)
export const person = (subject: string) => ({ issuer: 'https://people.example', subject })

/** One fault a call: before the inner store was asked, or after, so that only the reply is lost. */
export type StoreFault = 'before' | 'after' | undefined

export interface KitOptions {
  readonly store?: VaultStore
  readonly revocation?: 'token' | 'grant'
  /** Waited for before each answer of the server. */
  readonly onRequest?: (form: URLSearchParams) => Promise<unknown>
  /** More members of a token answer. */
  readonly extra?: (form: URLSearchParams) => object
}

export function consentKit(options: KitOptions = {}) {
  const inner = options.store ?? memoryStore()
  const agent = new WorkloadIdentity({ name: 'agent' })
  const revoked: string[] = []
  const exchanged: string[] = []
  let issued = 0
  const kit = {
    store: inner,
    revoked,
    exchanged,
    aheadMs: 0,
    process(fault: (operation: 'get' | 'put') => StoreFault = () => undefined) {
      const audit: AuditEvent[] = []
      async function guarded<T>(operation: 'get' | 'put', run: () => Promise<T>): Promise<T> {
        const how = fault(operation)
        if (how === 'before') throw new Error('partition')
        const result = await run()
        if (how === 'after') throw new Error('reply lost')
        return result
      }
      const store: VaultStore = {
        get: (id) => guarded('get', () => inner.get(id)),
        put: (id, row, how) => guarded('put', () => inner.put(id, row, how)),
        delete: inner.delete,
        scan: inner.scan,
      }
      const vault = tokenVault({ store, keys: localKeys(KEY) })
      const credentials = new OutboundCredentialProvider({
        providers: {
          files: oauth2({
            issuer: ISSUER,
            endpoints: {
              authorization: `${ISSUER}/auth`,
              token: `${ISSUER}/token`,
              revocation: `${ISSUER}/revoke`,
            },
            clientId: 'agent',
            clientSecret: 'agent-secret',
            fetch: answer,
            ...(options.revocation ? { revocation: options.revocation } : {}),
          }),
        },
        vault,
        callbackUrl: `${APP}/cb`,
        identifyUser: () => person('ada'),
        cache: false,
        audit: (event) => void audit.push(event),
        clock: () => Date.now() + kit.aheadMs,
      })
      return { credentials, vault, audit, ...actions(credentials) }
    },
  }

  function actions(credentials: OutboundCredentialProvider) {
    const acting = agent.unverifiedUser(person('ada'))
    return {
      acting,
      begin: (scopes: readonly string[] = ['read'], account?: string) =>
        credentials.beginAuthorization(acting, { provider: 'files', scopes, account }),
      /** The user comes back with `code`. */
      back: (link: { readonly authorizationUrl: string }, code: string) => {
        const state = new URL(link.authorizationUrl).searchParams.get('state')
        const url = `${APP}/cb/files?code=${code}&state=${state}`
        return credentials.handleCallback(new Request(url))
      },
      token: (scopes: readonly string[] = ['read'], account?: string) =>
        credentials.getToken(acting, { provider: 'files', scopes, account }).then(
          (token) => token.value,
          (error: unknown) =>
            findAuthorizationRequired(error)
              ? 'consent'
              : ((error as { code?: string }).code ?? String(error)),
        ),
      disconnect: (account?: string) =>
        credentials.disconnect(acting, { provider: 'files', account }),
      labels: async () => (await credentials.connections(acting)).map((one) => one.account),
    }
  }

  async function answer(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const form = new URLSearchParams(String(init?.body))
    if (String(input).endsWith('/revoke')) {
      revoked.push(form.get('token')!)
      return Response.json({})
    }
    await options.onRequest?.(form)
    const grant = form.get('code') ?? form.get('refresh_token')!.split('.')[1]
    exchanged.push(form.get('code') ?? form.get('refresh_token')!)
    const refresh_token = `rt.${grant}.${++issued}`
    const given = { access_token: `at.${grant}.${issued}`, refresh_token, token_type: 'Bearer' }
    return Response.json({ ...given, expires_in: 3600, ...options.extra?.(form) })
  }
  return kit
}
