import type { Audit } from '../audit.js'
import { type Clock, DAY_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { AccountAmbiguousError } from '../errors/outbound.js'
import { VaultUnavailableError } from '../errors/vault.js'
import { revokeToken } from '../oauth/revoke.js'
import type { TokenVault } from '../vault/token-vault.js'
import { auditActing } from '../workload/acting.js'
import type { ConnectedAccount, ConnectionsIndex } from './connections.js'
import type { ConsentSessions } from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import type { ActingForUser } from './consents.js'
import { DISCONNECTED, emptyGrant, type Grant, grantKey } from './grant.js'
import type { RegisteredOAuth2 } from './registry.js'

/** One account that a user connected, and how it does. Holds no token. */
export interface Connection {
  readonly provider: string
  readonly account: string
  /** Scopes granted. */
  readonly scopes: readonly string[]
  /** `failing`: renewing does not work at the moment; it is tried again. */
  readonly state: 'active' | 'needs_consent' | 'failing'
  /** Why it is not `active`. */
  readonly reason?: string
  /** Milliseconds since the epoch. */
  readonly connectedAtMs?: number
  readonly refreshedAtMs?: number
  /** When the newest token ends; it is renewed before that. */
  readonly expiresAtMs?: number
}

/** What became of a connection that the user ended. */
export interface Disconnected {
  /** Whether there was one. It is gone here whatever the provider said. */
  readonly removed: boolean
  /** Whether the provider took its token back. */
  readonly revoked: boolean
  /** Why not. */
  readonly reason?: string
}

interface Parts {
  readonly vault: TokenVault
  readonly index: ConnectionsIndex
  readonly sessions: ConsentSessions
  readonly settler: ConsentSettler
  readonly audit: Audit
  readonly clock: Clock
  readonly onChanged: (owner: ActingForUser) => void
}

const CAS_TRIES = 20
/** What is left of a row keeps late writers out; none is as late as this. */
const TOMBSTONE_MS = DAY_MS

/** Shows what a user connected, and ends it. */
export class ConnectionDesk {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The connections at providers that are configured as they were when the user consented. */
  async list(
    acting: ActingForUser,
    at: (name: string) => RegisteredOAuth2 | undefined,
  ): Promise<readonly Connection[]> {
    const { accounts } = await this.#parts.index.read(acting)
    const mine = accounts.filter((one) => {
      const provider = at(one.provider)?.provider
      return provider?.issuer === one.issuer && provider.clientId === one.clientId
    })
    return Promise.all(mine.map((one) => this.#show(acting, one)))
  }

  async #show(acting: ActingForUser, one: ConnectedAccount): Promise<Connection> {
    const key = grantKey(acting, 'USER_FEDERATION', one.provider, one, one.account)
    const grant = (await this.#parts.vault.read<Grant>(key))?.value
    const { provider, account } = one
    if (!grant) {
      return { provider, account, scopes: [], state: 'needs_consent', reason: 'not_in_the_vault' }
    }
    const { connectedAtMs, refreshedAtMs } = grant
    const expiresAtMs = grant.tokens[0]?.expiresAtMs
    return {
      provider,
      account,
      scopes: grant.scopes,
      ...stateOf(grant, this.#parts.clock()),
      ...(connectedAtMs === undefined ? {} : { connectedAtMs }),
      ...(refreshedAtMs === undefined ? {} : { refreshedAtMs }),
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
    }
  }

  /**
   * Ends a connection: first here, so that nothing uses it any more, then at the provider.
   *
   * @throws {@link AccountAmbiguousError} There are several, and none was named.
   * @throws {@link VaultUnavailableError} Nothing was asked of the provider.
   */
  async disconnect(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    named: string | undefined,
  ): Promise<Disconnected> {
    const labels = await this.#parts.index.labels(acting, at.name, at.provider)
    if (named === undefined && labels.length > 1) {
      throw new AccountAmbiguousError({ provider: at.name, accounts: labels })
    }
    const account = named ?? labels[0]
    if (account === undefined) return { removed: false, revoked: false, reason: 'not_connected' }
    await this.#endConsents(acting, at, account)
    const grant = await this.#bury(acting, at, account)
    await this.#unlist(acting, at, account)
    this.#parts.onChanged(acting)
    if (!grant && !labels.includes(account)) {
      return { removed: false, revoked: false, reason: 'not_connected' }
    }
    const reason = await revoke(at, grant)
    const outcome = { revoked: reason === undefined, ...(reason === undefined ? {} : { reason }) }
    this.#parts.audit.emit({
      type: 'disconnected',
      ...auditActing(acting),
      provider: at.name,
      flow: 'USER_FEDERATION',
      account,
      ...outcome,
    })
    return { removed: true, ...outcome }
  }

  /** Puts a row without secrets in the place of the grant, so that who still works with the old one cannot write it back. */
  async #bury(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    account: string,
  ): Promise<Grant | undefined> {
    const { vault, clock } = this.#parts
    const key = grantKey(acting, 'USER_FEDERATION', at.name, at.provider, account)
    const tombstone: Grant = { ...emptyGrant, state: 'needs_consent', reason: DISCONNECTED }
    for (let attempt = 0; attempt < CAS_TRIES; attempt++) {
      const held = await vault.read<Grant>(key)
      if (!held || held.value.reason === DISCONNECTED) return undefined
      const options = { replaces: held.version, keepUntilMs: clock() + TOMBSTONE_MS }
      if ((await vault.write(key, tombstone, options)) !== undefined) return held.value
    }
    throw new VaultUnavailableError({
      operation: 'put',
      reason: 'the row changes faster than it can be written',
    })
  }

  /** Takes the account off the list. */
  async #unlist(acting: ActingForUser, at: RegisteredOAuth2, account: string): Promise<void> {
    const { issuer, clientId } = at.provider
    await this.#parts.index.change(acting, (now) => {
      const accounts = now.accounts.filter(
        (one) =>
          one.provider !== at.name ||
          one.issuer !== issuer ||
          one.clientId !== clientId ||
          one.account !== account,
      )
      return accounts.length === now.accounts.length ? undefined : { ...now, accounts }
    })
  }

  /** Ends the consents that would bring the connection back, also one whose code is being exchanged. */
  async #endConsents(acting: ActingForUser, at: RegisteredOAuth2, account: string): Promise<void> {
    const { index, sessions, settler } = this.#parts
    const { pending } = await index.read(acting)
    for (const { sessionId } of pending) {
      const held = await sessions.find(sessionId)
      const session = held?.value
      if (!session || !['pending', 'code-held', 'exchanging'].includes(session.phase)) continue
      const meant = session.account ?? session.accountHint ?? account
      if (session.provider !== at.name || meant !== account) continue
      await settler.settle(held, 'expired', DISCONNECTED)
    }
  }
}

function stateOf(grant: Grant, nowMs: number): Pick<Connection, 'state' | 'reason'> {
  if (grant.state === 'needs_consent') {
    return { state: 'needs_consent', reason: grant.reason ?? 'unknown' }
  }
  const serves = grant.tokens.some((one) => (one.expiresAtMs ?? nowMs + 1) > nowMs)
  if (grant.refreshToken === undefined && !serves) {
    return { state: 'needs_consent', reason: 'expired' }
  }
  if (grant.failing) return { state: 'failing', reason: grant.failing.code }
  return { state: 'active' }
}

/** Gives the tokens back (RFC 7009): the refresh token, which ends the grant, or else each access token. */
async function revoke(at: RegisteredOAuth2, grant: Grant | undefined): Promise<string | undefined> {
  const tokens =
    grant?.refreshToken === undefined
      ? (grant?.tokens ?? []).map(({ value }) => ({ token: value, kind: 'access_token' }) as const)
      : [{ token: grant.refreshToken, kind: 'refresh_token' } as const]
  if (tokens.length === 0) return 'nothing_to_revoke'
  try {
    for (const token of tokens) await revokeToken(at.server, token)
    return undefined
  } catch (error) {
    return isDeputizeError(error) ? (error.reason ?? error.code) : 'unexpected error'
  }
}
