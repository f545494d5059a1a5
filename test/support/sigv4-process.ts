/** One process of several that share a replay guard: the parent is the store. */
import { InboundAuthError } from '../../src/errors/inbound.js'
import type { RawRequest } from '../../src/inbound/authenticator.js'
import type { ReplayGuard } from '../../src/inbound/replay-guard.js'
import { verifierOf } from './aws-signers.js'

const replay: ReplayGuard = {
  claim: (id, untilMs) =>
    new Promise((resolve) => {
      const onMessage = (message: { first?: boolean }) => {
        if (message.first === undefined) return
        process.off('message', onMessage)
        resolve(message.first)
      }
      process.on('message', onMessage)
      process.send?.({ id, untilMs })
    }),
}
const verifier = verifierOf({ replay })

process.on('message', async ({ request }: { request?: RawRequest }) => {
  if (!request) return
  try {
    await verifier.verify(request)
    process.send?.({ outcome: 'accepted' })
  } catch (error) {
    process.send?.({ outcome: error instanceof InboundAuthError ? error.code : String(error) })
  }
})
process.send?.({ ready: true })
