import { execFileSync } from 'node:child_process'
import { distIsStale, root } from '../../scripts/subpaths.js'

/** Builds the library, unless dist is newer than everything it is made of. */
export default function setup(): void {
  if (distIsStale())
    execFileSync('npm', ['run', '--silent', 'build', '--', '--silent'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
}
