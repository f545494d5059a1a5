/** One process of a fleet: does what its parent tells it, with the parent's store. See `fleet.test.ts`. */
import {
  localKeys,
  OutboundCredentialProvider,
  oauth2,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'
import { API, RIG_KEY, user } from './consent-rig.js'
import { storeOfParent } from './fleet-store.js'

export interface FleetOrder {
  readonly kind: 'get'
  readonly calls: number
  readonly aheadMs: number
  readonly subject: string
  readonly mode: 'throw' | 'wait'
}

export interface FleetReport {
  readonly kind: 'got'
  /** The values of the tokens, or the codes of the errors. */
  readonly results: readonly string[]
}

const [issuer = '', callbackUrl = ''] = process.argv.slice(2)
let aheadMs = 0
const credentials = new OutboundCredentialProvider({
  providers: {
    calendar: oauth2({
      issuer,
      clientId: 'agent',
      clientSecret: 'agent-secret',
      resource: API,
      allowInsecureLoopback: true,
    }),
  },
  vault: tokenVault({ store: storeOfParent(), keys: localKeys(RIG_KEY) }),
  callbackUrl,
  allowInsecureLoopback: true,
  clock: () => Date.now() + aheadMs,
})
const agent = new WorkloadIdentity({ name: 'test-agent' })

process.on('message', async (order: FleetOrder) => {
  if (order.kind !== 'get') return
  aheadMs = order.aheadMs
  const acting = agent.unverifiedUser(user(order.subject))
  const results = await Promise.all(
    Array.from({ length: order.calls }, () =>
      credentials
        .getToken(acting, {
          provider: 'calendar',
          scopes: ['read'],
          onAuthorizationRequired: order.mode,
        })
        .then(
          (token) => token.value,
          (error) => String(error.code),
        ),
    ),
  )
  process.send!({ kind: 'got', results } satisfies FleetReport)
})
process.send!({ kind: 'ready' })
