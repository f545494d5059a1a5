/**
 * Installs other runtimes from the npm registry into .cache/runtimes, each in a folder of its own, for test/runtimes.
 *
 *   npm run runtimes
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RuntimeName, runtimeFile, runtimeFolder, runtimes } from './runtime-list.js'

for (const [name, { install }] of Object.entries(runtimes)) {
  const folder = runtimeFolder(name as RuntimeName)
  if (existsSync(runtimeFile(name as RuntimeName))) continue
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  console.log(`installing ${install}`)
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', install], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
