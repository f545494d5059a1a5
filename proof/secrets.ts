/**
 * No object and no error of the library shows a secret, in whatever way it is printed.
 *
 *   npm run proof secrets
 *
 * Builds every public object, and makes every foreign error happen in the real code paths, with secrets that are random
 * canaries; prints all of it in every way and looks for a canary. PROOF_COUNT=small goes through it once instead of ten times.
 */

import { scenes } from '../test/support/secret-scenes.js'
import { Canaries, type Leak, leaksOf } from '../test/support/secret-walker.js'

const rounds = process.env.PROOF_COUNT === 'small' ? 1 : 10
const leaks: Leak[] = []
const kinds = new Map<string, number>()
let [seen, prints, secrets] = [0, 0, 0]

for (let round = 0; round < rounds; round++) {
  const canaries = new Canaries()
  for await (const { name, value } of scenes(canaries)) {
    const found = leaksOf(canaries, name, value)
    leaks.push(...found.leaks)
    prints += found.prints
    seen++
    const kind = value instanceof Error ? value.name : 'a value'
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  secrets += canaries.size
}

for (const { canary, scene, how } of leaks.slice(0, 50))
  console.log(`SHOWN  ${scene}: ${how} shows ${canary}`)
for (const [kind, count] of [...kinds].sort()) console.log(`${String(count).padStart(7)}  ${kind}`)
console.log(
  `${rounds} rounds: ${seen} objects and errors printed ${prints} times, ${secrets} secrets in them`,
)
console.log(`secrets shown: ${leaks.length}`)
process.exitCode = leaks.length === 0 ? 0 : 1
