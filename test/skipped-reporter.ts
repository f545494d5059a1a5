import type { Reporter, TestCase, TestModule } from 'vitest/node'

/**
 * Says at the end what was not tested, and why. The reason is the note of `context.skip(note)`, or what a suite or a
 * test says of itself in its name: "redisStore (needs redis-server)".
 */
export default class SkippedReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = new Map<string, number>()
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const line = `${module.relativeModuleId}: ${reasonOf(test)}`
        counts.set(line, (counts.get(line) ?? 0) + 1)
      }
    }
    if (counts.size === 0) return
    console.log('\nNot tested:')
    for (const [line, count] of counts) console.log(`  ${count} skipped in ${line}`)
  }
}

function reasonOf(test: TestCase): string {
  const result = test.result()
  if (result.state === 'skipped' && result.note) return result.note
  return /\((needs [^)]+)\)/.exec(test.fullName)?.[1] ?? test.fullName
}
