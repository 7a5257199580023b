import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Runs once for all files of a run: a folder that they share, such as for the package that one of them
 * builds.
 */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'ajwt-run-'))
  process.env.AJWT_RUN_FOLDER = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
