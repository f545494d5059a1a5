import { checkUrl } from '../address.js'
import type { AuditSink } from '../audit.js'
import type { Clock } from '../clock.js'
import type { OnAuthorizationRequired } from '../context/credential-source.js'
import { printable } from '../errors/base.js'
import { checkFunction, checkOptionNames, type KnownOptions } from '../option-names.js'
import type { Provider } from '../providers/provider.js'
import type { TokenVault } from '../vault/token-vault.js'
import type { IdentifyUser } from './consent-callback.js'
import type { AuthorizationSettled } from './consent-settler.js'
import { CACHE_MAX_TOKENS } from './token-cache.js'

/** What an {@link OutboundCredentialProvider} takes. */
export interface OutboundCredentialProviderOptions {
  /** By the names that the code uses. A name ends the provider's redirect URI. */
  readonly providers: Readonly<Record<string, Provider>>
  /** Default: this process's memory under a random key. */
  readonly vault?: TokenVault
  /** Where {@link OutboundCredentialProvider.handleCallback} is served. The redirect URI of provider `x` is `<callbackUrl>/x`. */
  readonly callbackUrl?: string
  /** Who is in front of the browser at the callback. `'unsafe-single-user'`: one person on one machine, whoever it is. */
  readonly identifyUser?: IdentifyUser
  /** Told of every consent that ended, after it was written. What it throws is dropped. */
  readonly onAuthorizationSettled?: (event: AuthorizationSettled) => unknown
  /** Default `throw`. */
  readonly onAuthorizationRequired?: OnAuthorizationRequired
  /**
   * Tokens kept decrypted in this process's memory, so that a call need not ask the vault. Default: at most 10,000. They are
   * looked up again after ten seconds and are never older than thirty, or five minutes while the store fails. `false`: none.
   */
  readonly cache?: false | { readonly maxTokens?: number }
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost in `callbackUrl`. */
  readonly allowInsecureLoopback?: boolean
  /**
   * Called, within the request concerned, with work that must go on when that request ends: a refresh that was sent, a
   * token that the store has not taken yet. For platforms that end a request's work with it: the `waitUntil` of Cloudflare
   * Workers (`import { waitUntil } from 'cloudflare:workers'`). The promise never rejects; what this function throws is
   * dropped. Default: none, for processes that live on.
   */
  readonly waitUntil?: (work: Promise<unknown>) => void
  readonly audit?: AuditSink
  /** For tests. */
  readonly clock?: Clock
}

const known: KnownOptions<OutboundCredentialProviderOptions> = {
  providers: true,
  vault: true,
  callbackUrl: true,
  identifyUser: true,
  onAuthorizationSettled: true,
  onAuthorizationRequired: true,
  cache: true,
  allowInsecureLoopback: true,
  audit: true,
  waitUntil: true,
  clock: true,
}

/**
 * Checks the names of the options, and the kinds of those that nothing else checks.
 *
 * @throws `TypeError`
 */
export function checkOptions(options: OutboundCredentialProviderOptions): void {
  checkOptionNames(options, 'OutboundCredentialProvider', known)
  const vault = options.vault as { read?: unknown; write?: unknown } | undefined
  if (
    vault !== undefined &&
    !(typeof vault?.read === 'function' && typeof vault.write === 'function')
  ) {
    throw new TypeError('vault must be made by tokenVault(), such as tokenVault({ store, keys }).')
  }
  checkFunction(options.audit, 'audit')
  checkFunction(options.onAuthorizationSettled, 'onAuthorizationSettled')
  checkFunction(options.waitUntil, 'waitUntil')
}

/**
 * Checks `callbackUrl` and gives it without a trailing slash.
 *
 * @throws `TypeError`
 */
export function checkCallbackUrl(options: OutboundCredentialProviderOptions): string | undefined {
  const { callbackUrl, allowInsecureLoopback = false } = options
  if (callbackUrl === undefined) return undefined
  checkUrl(callbackUrl, 'callbackUrl', allowInsecureLoopback)
  if (callbackUrl.includes('?')) throw new TypeError('callbackUrl must have no query.')
  return callbackUrl.replace(/\/$/, '')
}

/** @throws `TypeError` */
export function checkIdentifyUser(value: IdentifyUser | undefined): IdentifyUser | undefined {
  if (value !== undefined && typeof value !== 'function' && value !== 'unsafe-single-user') {
    throw new TypeError('identifyUser must be a function, or "unsafe-single-user".')
  }
  return value
}

/**
 * How many tokens are kept in memory; 0: none.
 *
 * @throws `TypeError`
 */
export function checkCache(value: OutboundCredentialProviderOptions['cache']): number {
  if (value === false) return 0
  if (value !== undefined && (typeof value !== 'object' || value === null)) {
    throw new TypeError(`cache must be false or { maxTokens }; got ${printable(value)}.`)
  }
  if (value !== undefined) checkOptionNames(value, 'cache', { maxTokens: true })
  const { maxTokens = CACHE_MAX_TOKENS } = value ?? {}
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new TypeError(
      `cache.maxTokens must be a whole number of 1 or more; got ${printable(maxTokens)}.`,
    )
  }
  return maxTokens
}
