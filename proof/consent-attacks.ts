/**
 * No attack on the consent road ends with a token: forwarded links, evil providers, mixed-up answers, stolen codes.
 *
 * Drives the attacks of test/support/consent-attacks.ts against a real OpenID provider, a hostile one and an application
 * on this machine. Exits non-zero when one succeeds, when a code reaches the hostile server, or when a grant is stored.
 *
 *   npm run proof consent-attacks
 */
import { attacks, startScene } from '../test/support/consent-attacks.js'

await using scene = await startScene()
let attempts = 0
let successes = 0
for (const { id, title, run } of attacks) {
  const outcome = await run(scene)
  scene.rig.aheadMs = 0
  attempts += outcome.attempts
  successes += outcome.successes
  console.log(`${id}  ${outcome.successes} of ${String(outcome.attempts).padStart(2)}  ${title}`)
}
const codes = scene.codesAtEvil()
const { grantsStored } = scene
console.log(`
attempts                      ${attempts}
successes                     ${successes}  (must be 0)
codes at the hostile server   ${codes}  (must be 0)
grants stored                 ${grantsStored}  (must be 0)`)
if (successes + codes + grantsStored > 0 || attempts === 0) process.exitCode = 1
