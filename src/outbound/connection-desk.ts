import type { Audit } from '../audit.js'
import { type Clock, DAY_MS } from '../clock.js'
import { isDeputizeError } from '../errors/base.js'
import { AccountAmbiguousError } from '../errors/outbound.js'
import { revokeToken } from '../oauth/revoke.js'
import type { TokenVault } from '../vault/token-vault.js'
import { auditActing } from '../workload/acting.js'
import {
  accountNamed,
  accountsAt,
  type ConnectedAccount,
  type Connections,
  type ConnectionsIndex,
  clientOf,
  type EndedConnection,
  isSameClient,
  type PendingConsent,
  type ProviderClient,
} from './connections.js'
import type { ConsentSessions } from './consent-session.js'
import type { ConsentSettler } from './consent-settler.js'
import type { ActingForUser } from './consent-start.js'
import { DISCONNECTED, type Grant, grantKey, tombstone } from './grant.js'
import { insist } from './grant-writer.js'
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

/** A disconnect that has its number. */
interface End {
  /** `undefined` where none is connected and none was named: every account to come is meant. */
  readonly account: string | undefined
  readonly order: number
  /** The consents that are no longer pending. */
  readonly sessions: readonly string[]
  readonly wasListed: boolean
}

/** What a tombstone has replaced. */
interface Buried {
  readonly grant: Grant | undefined
  readonly wasThere: boolean
  readonly wasCorrupt: boolean
}

/** What is left of a row keeps late writers out; a consent that waits in memory is given up after an hour. */
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
    const { provider, account } = one
    const { value: grant, corrupt } = await this.#parts.vault.look<Grant>(
      keyOf(acting, one, account),
    )
    if (!grant) {
      const reason = corrupt ? 'corrupt_row' : 'not_in_the_vault'
      return { provider, account, scopes: [], state: 'needs_consent', reason }
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
   * @throws {@link VaultUnavailableError} {@link KeyUnavailableError} Nothing was asked of the provider.
   */
  async disconnect(
    acting: ActingForUser,
    at: RegisteredOAuth2,
    named: string | undefined,
  ): Promise<Disconnected> {
    const { index, audit, onChanged } = this.#parts
    const client = clientOf(at)
    const end = await this.#number(acting, client, named)
    const { account, sessions } = end
    const buried = account === undefined ? undefined : await this.#bury(acting, client, end)
    await index.change(acting, (now) => unlisted(now, client, end))
    onChanged(acting)
    for (const id of sessions) await this.#endConsent(id)
    if (account === undefined || !(end.wasListed || buried?.wasThere)) {
      return { removed: false, revoked: false, reason: 'not_connected' }
    }
    const reason = buried?.wasCorrupt ? 'corrupt_row' : await revoke(at, buried?.grant)
    const outcome = { revoked: reason === undefined, ...(reason === undefined ? {} : { reason }) }
    audit.emit({
      type: 'disconnected',
      ...auditActing(acting),
      provider: at.name,
      flow: 'USER_FEDERATION',
      account,
      ...outcome,
    })
    return { removed: true, ...outcome }
  }

  /**
   * Gives the disconnect its number. In the same step the consents that would bring the connection back are no longer
   * pending; those that have a number already, and come later, have a lower one.
   */
  async #number(
    acting: ActingForUser,
    client: ProviderClient,
    named: string | undefined,
  ): Promise<End> {
    const { vault, index, clock } = this.#parts
    let end!: End
    await index.change(acting, async (now) => {
      const mine = accountsAt(now, client)
      if (named === undefined && mine.length > 1) {
        const accounts = mine.map((one) => one.account)
        throw new AccountAmbiguousError({ provider: client.provider, accounts })
      }
      const listed = named === undefined ? mine[0] : accountNamed(mine, named)
      const account = listed?.account ?? named
      const row =
        account === undefined ? undefined : await vault.look<Grant>(keyOf(acting, client, account))
      // The row counts as well: the connections row may have been lost and made anew.
      const order = Math.max(now.order, row?.value?.order ?? 0) + 1
      const isMeant = (one: PendingConsent) =>
        isSameClient(one, client) &&
        (named === undefined || one.account === undefined || [account, named].includes(one.account))
      const sessions = now.pending.filter(isMeant).map((one) => one.sessionId)
      end = { account, order, sessions, wasListed: listed !== undefined }
      const ended: EndedConnection = {
        ...client,
        ...(named === undefined ? {} : { account: account! }),
        order,
        untilMs: clock() + TOMBSTONE_MS,
      }
      return {
        ...now,
        order,
        pending: now.pending.filter((one) => !isMeant(one)),
        ended: [...now.ended, ended],
      }
    })
    return end
  }

  /**
   * Puts a row without secrets in the place of the grant, or of the grant to come: whatever still works with an older
   * one finds it there and gives way.
   */
  async #bury(acting: ActingForUser, client: ProviderClient, end: End): Promise<Buried> {
    const { vault, clock, audit } = this.#parts
    const key = keyOf(acting, client, end.account!)
    let buried: Buried = { grant: undefined, wasThere: false, wasCorrupt: false }
    await insist(() =>
      vault.change<Grant>(key, ({ value, corrupt }) => {
        // Of our own number: it was written, and the reply was lost. Of a higher one: the user has consented anew.
        if ((value?.order ?? 0) >= end.order) return undefined
        const wasThere = corrupt !== undefined || (value && value.reason !== DISCONNECTED) === true
        buried = { grant: value, wasThere, wasCorrupt: corrupt !== undefined }
        return { value: tombstone(end.order), keepUntilMs: clock() + TOMBSTONE_MS }
      }),
    )
    if (buried.wasCorrupt) {
      const facts = { ...auditActing(acting), provider: client.provider, account: end.account! }
      audit.emit({ type: 'corrupt_row_replaced', row: 'grant', ...facts })
    }
    return buried
  }

  /** Tells how a consent ended that is no longer pending; one that gets its outcome from elsewhere keeps that. */
  async #endConsent(id: string): Promise<void> {
    const { sessions, settler } = this.#parts
    const held = await sessions.find(id)
    if (held && ['pending', 'code-held', 'exchanging'].includes(held.value.phase)) {
      await settler.settle(held, 'expired', { reason: DISCONNECTED })
    }
  }
}

/** Takes the account off the list, unless a consent with a higher number has listed it again. */
function unlisted(now: Connections, client: ProviderClient, end: End): Connections | undefined {
  const accounts = now.accounts.filter(
    (one) => !(isSameClient(one, client) && one.account === end.account && one.order < end.order),
  )
  return accounts.length === now.accounts.length ? undefined : { ...now, accounts }
}

function keyOf(acting: ActingForUser, client: ProviderClient, account: string) {
  return grantKey(acting, 'USER_FEDERATION', client.provider, client, account)
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
