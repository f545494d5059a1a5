/**
 * `count-tests.mjs <report> <exit code>`: prints "<passed> <failed>" of a JSON report of the test run. Skipped tests
 * count as failed, and so does a run that went wrong without a failing test. Says which on stderr.
 */
import { readFileSync } from 'node:fs'

const [report = '', exitCode = '1'] = process.argv.slice(2)
let passed = 0
let failed = 0
try {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  for (const { name, status, message, assertionResults } of testResults) {
    if (status === 'failed' && assertionResults.length === 0) {
      failed++
      console.error(`did not load: ${name}: ${message}`)
    }
    for (const test of assertionResults) {
      if (test.status === 'passed') passed++
      else {
        failed++
        console.error(`${test.status}: ${name}: ${test.fullName}`)
      }
    }
  }
} catch (error) {
  console.error(`no report of the tests: ${error.message}`)
}
if (passed === 0 || exitCode !== '0') failed = Math.max(failed, 1)
console.log(`${passed} ${failed}`)
