import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder of a private package with its own lock file, such as `test/runtimes`. */
export function folderOf(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url))
}

/**
 * Whether the packages of `test/NAME` are installed. Without them, tests that need them are skipped, and fail
 * in CI.
 */
export function isInstalled(name: string): boolean {
  if (existsSync(`${folderOf(name)}/node_modules/.package-lock.json`)) return true
  if (process.env.CI) throw new Error(`test/${name} is not installed: run npm ci --prefix test/${name}`)
  return false
}

/** For the name of a test that may be skipped. */
export function needs(name: string): string {
  return isInstalled(name) ? '' : ` (skipped: run npm ci --prefix test/${name})`
}
