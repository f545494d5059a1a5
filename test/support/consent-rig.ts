/**
 * What the tests of the consent road share: an application on loopback with a sign-in cookie, a real OpenID provider that
 * rotates refresh tokens, and an agent between them.
 */
import { createServer, type Server } from 'node:http'
import {
  type AuditEvent,
  findAuthorizationRequired,
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  type OutboundCredentialProviderOptions,
  oauth2,
  type Provider,
  tokenVault,
  type UserRef,
  type VaultStore,
  WorkloadIdentity,
} from 'deputize'
import { nodeHandler } from 'deputize/node'
import { cookie, listen, stop } from '../../examples/api-server.js'
import { Browser, type OpenOptions, type Page } from '../../examples/browser.js'
import { type RunningOpenIdProvider, startOpenIdProvider } from '../../examples/openid-provider.js'

export const API = 'https://api.example'
const OTHER_API = 'https://other.example'
const APP_ISSUER = 'https://people.example'

/** A user of the application. */
export const user = (subject: string): UserRef => ({ issuer: APP_ISSUER, subject })

export interface ConsentRig {
  readonly origin: string
  readonly services: RunningOpenIdProvider
  readonly agent: WorkloadIdentity
  readonly audit: AuditEvent[]
  readonly store: VaultStore
  /** The clock of everything that {@link ConsentRig.open} makes: moved by `aheadMs`. */
  aheadMs: number
  /** Which of them serves the callback. Default: the first that was opened. */
  serving: OutboundCredentialProvider
  /** Providers `calendar`, `files` (another resource), `open` (a client without secret) and `mail` (with `openid`), and those given. */
  open(options?: RigOptions): OutboundCredentialProvider
  browserOf(subject: string): Browser
  /** Opens a consent link as `subject`, to its end. */
  consent(url: string, subject: string, options?: OpenOptions): Promise<Page>
  /** Follows a link until the redirect to the application, and gives that address without opening it. */
  callbackUrlOf(url: string, subject: string, options?: OpenOptions): Promise<string>
  tokenRequests(): number
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type RigOptions = Partial<OutboundCredentialProviderOptions> & {
  readonly store?: VaultStore
  readonly timing?: ConstructorParameters<typeof OutboundCredentialProvider>[1]
}

const names = ['calendar', 'files', 'mail']
/** Every vault of a rig has these keys, as the processes of one deployment do. */
export const RIG_KEY = Buffer.alloc(32, 7)

export async function startConsentRig(): Promise<ConsentRig> {
  const app = createServer()
  const origin = await listen(app)
  const services = await startOpenIdProvider({
    clients: [
      {
        client_id: 'agent',
        client_secret: 'agent-secret',
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        redirect_uris: names.map((name) => `${origin}/oauth/callback/${name}`),
      },
      {
        client_id: 'public',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: [`${origin}/oauth/callback/open`],
      },
    ],
    resourceServers: {
      [API]: {
        scopes: ['read', 'write', 'admin', ...Array.from({ length: 12 }, (_, i) => `s${i}`)],
      },
      [OTHER_API]: { scopes: ['files'] },
    },
    users: (login) => ({ email: `${login}@mail.example` }),
    scopes: ['email'],
    refreshTokens: 'always',
    configuration: { claims: { openid: ['sub', 'email'] }, conformIdTokenClaims: false },
  })
  const rig = makeRig(app, origin, services)
  app.on(
    'request',
    nodeHandler((request) => serve(rig, request)),
  )
  return rig
}

async function serve(rig: ConsentRig, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  if (pathname.startsWith('/oauth/callback/')) return rig.serving.handleCallback(request)
  return new Response('the application')
}

function makeRig(app: Server, origin: string, services: RunningOpenIdProvider): ConsentRig {
  const audit: AuditEvent[] = []
  const opened: OutboundCredentialProvider[] = []
  const agent = new WorkloadIdentity({
    name: 'test-agent',
    allowedReturnUrls: [`${origin}/connected`],
    allowInsecureLoopback: true,
  })
  const close = async () => {
    for (const credentials of opened) credentials.close()
    await Promise.all([stop(app), services.close()])
  }
  const rig: ConsentRig = {
    origin,
    services,
    agent,
    audit,
    store: memoryStore(),
    aheadMs: 0,
    serving: undefined as unknown as OutboundCredentialProvider,
    open(options = {}) {
      const { store = rig.store, providers, timing, ...rest } = options
      const all: OutboundCredentialProviderOptions = {
        providers: { ...honestProviders(services.issuer), ...providers },
        vault: tokenVault({ store, keys: localKeys(RIG_KEY) }),
        callbackUrl: `${origin}/oauth/callback`,
        identifyUser: signedIn,
        allowInsecureLoopback: true,
        audit: (event) => void audit.push(event),
        clock: () => Date.now() + rig.aheadMs,
        ...rest,
      }
      const credentials = new OutboundCredentialProvider(all, timing)
      opened.push(credentials)
      rig.serving ??= credentials
      return credentials
    },
    browserOf(subject) {
      const browser = new Browser({ login: subject })
      browser.setCookie(origin, 'user', subject)
      return browser
    },
    consent: (url, subject, options) => rig.browserOf(subject).open(url, options),
    async callbackUrlOf(url, subject, options) {
      const page = await rig
        .browserOf(subject)
        .open(url, { ...options, stopAt: (next) => next.origin === origin })
      return page.url
    },
    tokenRequests: () => services.requests.filter((line) => line === 'POST /token').length,
    close,
    [Symbol.asyncDispose]: close,
  }
  return rig
}

/** Stands for the application's own session: whose cookie it is. */
function signedIn(request: Request): UserRef | undefined {
  const subject = cookie(request, 'user')
  return subject === undefined ? undefined : user(subject)
}

function honestProviders(issuer: string): Record<string, Provider> {
  const common = {
    issuer,
    clientId: 'agent',
    clientSecret: 'agent-secret',
    allowInsecureLoopback: true,
    timeoutMs: 30_000,
  }
  return {
    calendar: oauth2({ ...common, resource: API }),
    files: oauth2({ ...common, resource: OTHER_API }),
    open: oauth2({ issuer, clientId: 'public', resource: API, allowInsecureLoopback: true }),
    mail: oauth2({ ...common, scopes: ['openid', 'email'], resource: API }),
  }
}

/** The link of a consent that `promise` asks for. */
export async function challengeOf(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  const challenge = findAuthorizationRequired(error)
  if (!challenge) throw new Error(`No consent was asked for, but: ${String(error)}`)
  return challenge
}
