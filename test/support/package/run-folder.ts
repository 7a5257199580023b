import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Runs before the tests: makes a folder that all files of a run share, such as for the package that one of
 * them builds.
 */
export function setup(): () => void {
  // The other project of a run has made it.
  if (process.env.AJWT_RUN_FOLDER !== undefined) return () => {}
  const folder = mkdtempSync(join(tmpdir(), 'ajwt-run-'))
  process.env.AJWT_RUN_FOLDER = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
