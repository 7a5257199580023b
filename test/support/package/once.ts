import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Builds something once for all test files of a run, and returns its path. `build` gets an empty folder and
 * returns the path of its result in it. Other files wait for the result.
 */
export function buildOnce(name: string, build: (folder: string) => string): string {
  const run = process.env.AJWT_RUN_FOLDER
  if (run === undefined)
    throw new Error('AJWT_RUN_FOLDER is missing: run the test in the project "integration"')
  const folder = join(run, name)
  const done = join(run, `${name}.done`)
  // In one step, so that no other file sees half of it.
  if (isFirst(folder)) renameSync(build(folder), done)
  for (const start = Date.now(); !existsSync(done); ) {
    if (Date.now() - start > 100_000) throw new Error(`${name} was not built`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  }
  return done
}

function isFirst(folder: string): boolean {
  try {
    mkdirSync(folder)
    return true
  } catch {
    return false
  }
}
