import { Audit } from '../audit.js'
import { readClock } from '../clock.js'
import { checkOptionNames } from '../option-names.js'
import { tokenVault } from '../vault/token-vault.js'
import type { Acting } from '../workload/acting.js'
import { ConnectionDesk } from './connection-desk.js'
import { ConnectionsIndex } from './connections.js'
import { ConsentCallback } from './consent-callback.js'
import { ConsentExchange } from './consent-exchange.js'
import { ConsentSessions } from './consent-session.js'
import { ConsentSettler } from './consent-settler.js'
import { ConsentStart } from './consent-start.js'
import { ConsentWaiters } from './consent-waiters.js'
import { Consents } from './consents.js'
import { grantName } from './grant.js'
import { GrantKeeper } from './grant-keeper.js'
import { KeptConsents } from './kept-consents.js'
import {
  checkCache,
  checkCallbackUrl,
  checkIdentifyUser,
  checkOptions,
  type OutboundCredentialProviderOptions,
} from './options.js'
import { RefreshEngine } from './refresh-engine.js'
import { ProviderRegistry } from './registry.js'
import { defaultTiming, knownTiming, type Timing } from './timing.js'
import { TokenCache } from './token-cache.js'
import { TokenDesk } from './token-desk.js'
import { checkMode } from './token-request.js'

/** What an `OutboundCredentialProvider` is made of. */
export type Assembly = ReturnType<typeof assemble>

/**
 * Checks the options and puts the parts together. No I/O.
 *
 * @throws `TypeError` An option is wrong; it is named.
 */
export function assemble(options: OutboundCredentialProviderOptions, times: Partial<Timing>) {
  checkOptions(options)
  checkOptionNames(times, 'timing', knownTiming)
  const timing = { ...defaultTiming, ...times }
  const clock = readClock(options.clock)
  const vault = options.vault ?? tokenVault()
  const callbackUrl = checkCallbackUrl(options)
  const identifyUser = checkIdentifyUser(options.identifyUser)
  const onAuthorizationRequired = checkMode(options.onAuthorizationRequired ?? 'throw')
  const maxTokens = checkCache(options.cache)
  const { waitUntil } = options
  const audit = new Audit(options.audit, clock)
  const registry = new ProviderRegistry(options.providers, clock)
  const cache = maxTokens === 0 ? undefined : new TokenCache(maxTokens, timing)
  const index = new ConnectionsIndex(vault, clock, audit)
  const sessions = new ConsentSessions(vault, clock)
  const waiters = new ConsentWaiters()
  const settler = new ConsentSettler({
    sessions,
    waiters,
    audit,
    onSettled: options.onAuthorizationSettled,
  })
  const onChanged = (owner: Pick<Acting, 'workload' | 'user'>) => cache?.dropOwner(owner)
  const keeper = new GrantKeeper({ vault, index, audit, clock, onChanged })
  const kept = new KeptConsents(keeper, clock, timing.monotonic, waitUntil)
  const engine = new RefreshEngine(vault, clock, {
    timing,
    onChanged: (row) => cache?.dropRow(row),
    onAtRisk: ({ row }, reason) => audit.emit({ type: 'grant_at_risk', reason, ...grantName(row) }),
    onClockAhead: ({ row }, aheadMs) =>
      audit.emit({ type: 'clock_differs', aheadMs, ...grantName(row) }),
    waitUntil,
  })
  const consents = new Consents({ sessions, waiters, settler })
  const start = new ConsentStart({ sessions, index, settler, audit, clock, callbackUrl })
  const desk = new TokenDesk({
    index,
    engine,
    start,
    consents,
    kept,
    cache,
    audit,
    clock,
    onAuthorizationRequired,
    waitUntil,
  })
  const exchange = new ConsentExchange({ sessions, keeper, kept, settler })
  const callback = new ConsentCallback({
    registry,
    sessions,
    exchange,
    settler,
    waiters,
    audit,
    clock,
    identifyUser,
    isVolatile: options.vault === undefined,
  })
  const connections = new ConnectionDesk({
    vault,
    index,
    sessions,
    settler,
    audit,
    clock,
    onChanged,
  })
  return {
    audit,
    clock,
    registry,
    cache,
    index,
    waiters,
    engine,
    kept,
    start,
    consents,
    desk,
    callback,
    connections,
  }
}
