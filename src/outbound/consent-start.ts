import type { Audit } from '../audit.js'
import type { Clock } from '../clock.js'
import { printable } from '../errors/base.js'
import type { AuthorizationRequiredError } from '../errors/consent.js'
import { ConfigurationError } from '../errors/outbound.js'
import { startAuthorization } from '../oauth/authorization-code.js'
import type { UserRef } from '../principal.js'
import { SharedWork } from '../shared-work.js'
import { type Acting, allowedReturnUrls, auditActing, ownerKey } from '../workload/acting.js'
import {
  type ConnectionsIndex,
  clientOf,
  isSameClient,
  type PendingConsent,
} from './connections.js'
import {
  CODE_HELD_MS,
  type ConsentSession,
  type ConsentSessions,
  CROWDED_OUT,
  referenceOf,
  SESSION_LIFETIME_MS,
  sessionIdOf,
  sessionUri,
} from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import { challengeOf, statusOf } from './consents.js'
import { unionScopes } from './grant.js'
import { redirectUriOf } from './redirect-uri.js'
import type { RegisteredOAuth2 } from './registry.js'

/** Consents that a (workload, user) may have pending at one provider; the oldest gives way. */
export const MAX_PENDING = 10

/** An {@link Acting} that is known to have a user. */
export type ActingForUser = Acting & { readonly user: UserRef }

/** What is asked of the user. */
export interface ConsentRequest {
  readonly scopes: readonly string[]
  /** The label that the caller named. */
  readonly account?: string | undefined
  /** The account that is connected now, where the caller named none. */
  readonly accountHint?: string | undefined
  readonly resource?: string | undefined
  readonly returnUrl?: string | undefined
  /** What the server wants to know of the user besides (OpenID Connect Core §5.5). */
  readonly claims?: string | undefined
  /** Of a tool: one link may ask for what several tools want. Otherwise exactly these scopes are asked for. */
  readonly joins: boolean
}

type GroupedRequest = ConsentRequest & { readonly group: string }

interface Parts {
  readonly sessions: ConsentSessions
  readonly index: ConnectionsIndex
  readonly settler: ConsentSettler
  readonly audit: Audit
  readonly clock: Clock
  readonly callbackUrl: string | undefined
}

/** Makes the links by which users consent. */
export class ConsentStart {
  readonly #parts: Parts
  readonly #starting = new SharedWork<ConsentSession>()
  /** The scopes that the next link is to ask for. */
  readonly #wanted = new Map<string, Set<string>>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The challenge to throw: of the pending session where the same was asked before, else of a new one. With
   * `request.joins`, a pending session that asks for more will do, and a new one asks for the union.
   *
   * @throws {@link ConfigurationError} `callbackUrl` is missing, or `returnUrl` is not registered.
   */
  async begin(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: ConsentRequest,
  ): Promise<AuthorizationRequiredError> {
    const group = groupOf(at, request)
    const { joins, scopes } = request
    const key = JSON.stringify([ownerKey(acting), group, joins ? null : [...scopes].sort()])
    for (;;) {
      // Whoever comes until the link is made is asked for with it; whoever comes later may find that it is enough.
      const wanted = this.#wanted.get(key) ?? new Set()
      this.#wanted.set(key, wanted)
      for (const scope of scopes) wanted.add(scope)
      const session = await this.#starting.run(key, () =>
        this.#open(acting, at, { ...request, group }, key),
      )
      if (covers(session.scopes, scopes)) return challengeOf(session)
    }
  }

  async #open(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: GroupedRequest,
    key: string,
  ): Promise<ConsentSession> {
    let wanted: ReadonlySet<string> | undefined
    try {
      const { open, ended } = await this.#pending(acting, at, request.group)
      wanted = this.#wanted.get(key)
      const scopes = [...(wanted ?? request.scopes)]
      const enough = open.find((one) => suffices(one.scopes, scopes, request.joins))
      if (enough) return enough
      const all = request.joins ? unionScopes(...open.map((one) => one.scopes), scopes) : scopes
      return await this.#start(acting, at, { ...request, scopes: all }, ended)
    } finally {
      this.#wanted.delete(key)
    }
  }

  /** The sessions of the group that are pending, and the ids of those at this provider that are settled and still hold a place. */
  async #pending(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    group: string,
  ): Promise<{ readonly open: readonly ConsentSession[]; readonly ended: readonly string[] }> {
    const client = clientOf(at)
    const { pending } = await this.#parts.index.readOrEmpty(acting)
    const here = pending.filter((one) => isSameClient(one, client))
    const open: ConsentSession[] = []
    const ended: string[] = []
    for (const one of here) {
      const same = one.group === group
      // The others matter only when places are short.
      if (!same && here.length < MAX_PENDING) continue
      const session = (await this.#parts.sessions.find(one.sessionId))?.value
      if (session === undefined || statusOf(session.phase) !== 'pending') ended.push(one.sessionId)
      else if (same && session.phase === 'pending') open.push(session)
    }
    return { open, ended }
  }

  async #start(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: GroupedRequest,
    ended: readonly string[],
  ): Promise<ConsentSession> {
    const { sessions, index, audit } = this.#parts
    const session = await this.#make(acting, at, request)
    await sessions.create(session)
    const client = clientOf(at)
    const account = request.account ?? request.accountHint
    const mine: PendingConsent = {
      ...client,
      sessionId: session.id,
      ...(account === undefined ? {} : { account }),
      group: request.group,
      scopes: session.scopes,
      expiresAtMs: session.expiresAtMs + CODE_HELD_MS,
    }
    let theirs: string | undefined
    let crowdedOut: string[] = []
    await index.change(acting, (now) => {
      const others = now.pending.filter((one) => !ended.includes(one.sessionId))
      // Another process may have started the same a moment ago: then theirs is the one to show.
      theirs = others.find(
        (one) => one.group === mine.group && suffices(one.scopes, mine.scopes, request.joins),
      )?.sessionId
      if (theirs !== undefined) return undefined
      const here = [...others.filter((one) => isSameClient(one, client)), mine]
      crowdedOut = here.slice(0, -MAX_PENDING).map((one) => one.sessionId)
      const pending = [...others, mine].filter((one) => !crowdedOut.includes(one.sessionId))
      return { ...now, pending }
    })
    if (theirs !== undefined) {
      const other = (await sessions.find(theirs))?.value
      if (other?.phase === 'pending') return other
      return this.#start(acting, at, request, [...ended, theirs])
    }
    for (const id of crowdedOut) await this.#crowdOut(id)
    audit.emit({
      type: 'consent_started',
      ...auditActing(acting),
      provider: at.name,
      flow: 'USER_FEDERATION',
      ...(request.account === undefined ? {} : { account: request.account }),
      scopes: session.scopes,
      sessionUri: sessionUri(session.id),
      reference: referenceOf(session.id),
    })
    return session
  }

  /** @throws {@link ConfigurationError} */
  async #make(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    request: ConsentRequest,
  ): Promise<ConsentSession> {
    const { callbackUrl, clock } = this.#parts
    const redirectUri = redirectUriOf(at.name, at.provider, callbackUrl)
    if (redirectUri === undefined) {
      throw new ConfigurationError(
        `Provider "${at.name}" needs the user's consent, but there is no callbackUrl. Set the option callbackUrl, register ${'<callbackUrl>'}/${at.name} at the provider, and serve credentials.handleCallback() there.`,
      )
    }
    const { scopes, resource, returnUrl, claims } = request
    if (returnUrl !== undefined && !allowedReturnUrls(acting).includes(returnUrl)) {
      throw new ConfigurationError(
        `returnUrl ${printable(returnUrl)} is not registered. Add it, exactly as it is, to allowedReturnUrls of WorkloadIdentity "${acting.workload.name}".`,
      )
    }
    const parameters = at.provider.authorizationParameters
    const asked = { scopes, redirectUri, resource, claims, parameters }
    const started = await startAuthorization(at.server, asked)
    return {
      id: await sessionIdOf(started.state),
      workload: acting.workload,
      user: acting.user,
      userKnown: acting.userKnown ?? 'asserted',
      ...clientOf(at),
      account: request.account,
      accountHint: request.accountHint,
      scopes,
      resource,
      codeVerifier: started.codeVerifier,
      nonce: started.nonce,
      redirectUri,
      returnUrl,
      authorizationUrl: started.url,
      expiresAtMs: clock() + SESSION_LIFETIME_MS,
      phase: 'pending',
    }
  }

  async #crowdOut(id: string): Promise<void> {
    const held = await this.#parts.sessions.find(id)
    if (held?.value.phase !== 'pending') return
    await this.#parts.settler.settle(held, 'expired', { reason: CROWDED_OUT })
  }
}

/** What must be the same for two consents to be asked for by one link. */
function groupOf(at: RegisteredOAuth2, request: ConsentRequest): string {
  const { account = null, resource = null, returnUrl = null, claims = null } = request
  return JSON.stringify([...Object.values(clientOf(at)), account, resource, returnUrl, claims])
}

function covers(scopes: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((scope) => scopes.includes(scope))
}

function suffices(scopes: readonly string[], wanted: readonly string[], joins: boolean): boolean {
  return covers(scopes, wanted) && (joins || covers(wanted, scopes))
}
