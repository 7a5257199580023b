import { spawn } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { UsageError } from './usage-error.js'

/** Seconds until an entry counts as stuck. */
const maxSeconds = 60

/** The file descriptor that the loader writes the digest to: standard output belongs to the program. */
const descriptor = 3

/**
 * Runs a program up to its first request, or until its entry has been evaluated, and returns the digest of
 * its modules. Nothing that an agent of the program would send is sent.
 *
 * @throws UsageError if the program ends earlier
 */
export async function codeDigest(entry: string): Promise<string> {
  const file = realpath(entry)
  const loader = new URL('../agent/loader/index.js', import.meta.url).href
  const program =
    `process.argv[1] = ${JSON.stringify(file)}; await import(${JSON.stringify(pathToFileURL(file).href)}); ` +
    "globalThis[Symbol.for('ajwt/loaded code')].announce()"
  const child = spawn(process.execPath, ['--import', loader, '--input-type=module', '--eval', program], {
    env: { ...process.env, AJWT_CODE_DIGEST_FD: String(descriptor) },
    // The output of the program is not part of the result.
    stdio: ['ignore', process.stderr, process.stderr, 'pipe'],
  })
  const timer = setTimeout(() => child.kill(), maxSeconds * 1000)
  let digest = ''
  child.stdio[descriptor]?.on('data', (chunk) => {
    digest += String(chunk)
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  clearTimeout(timer)
  if (/^sha256:[0-9a-f]{64}$/.test(digest)) return digest
  throw new UsageError(
    code === null
      ? `${entry}: it was not evaluated within ${maxSeconds} s`
      : `${entry}: it ended with exit code ${code} before its first request`,
  )
}

function realpath(entry: string): string {
  try {
    return realpathSync(entry)
  } catch {
    throw new UsageError(`${entry}: no such file`)
  }
}
