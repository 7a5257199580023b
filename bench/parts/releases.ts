/** The same requests in several releases of Node, whose binaries come from npm. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ReleaseTimings } from './release.js'
import { fixed, type Report } from './report.js'
import type { Timing } from './statistics.js'

const releases = [20, 22, 24]
const file = fileURLToPath(new URL('./release.js', import.meta.url))
const run = promisify(execFile)

/** Undefined where npm has no binary of the release in its cache: the benchmark downloads nothing. */
async function timingsOf(release: number): Promise<ReleaseTimings | undefined> {
  const npx = ['--offline', '--yes', `--package=node@${release}`, '--', 'node']
  try {
    await run('npx', [...npx, '--version'])
  } catch {
    return undefined
  }
  const { stdout } = await run('npx', [...npx, file])
  return JSON.parse(stdout)
}

export async function releaseSection(report: Report): Promise<void> {
  report.heading('Releases of Node')
  report.text(
    'The least times of the requests above, each release in a process of its own, one after the other. In ' +
      'brackets: the ratio to the signatures that a request needs. The last column is the ratio of a new agent to ' +
      'its signatures and the import of its key.',
  )
  const missing: number[] = []
  const rows: string[][] = []
  for (const release of releases) {
    const timings = await timingsOf(release)
    if (timings === undefined) missing.push(release)
    else rows.push(...rowsOf(timings))
  }
  report.table(['', 'one `crypto.verify`', 'known token', 'new token', 'new agent', 'of its parts'], rows)
  for (const release of missing) {
    report.text(
      `Node ${release} was not measured: \`npx --package=node@${release} -- node --version\` installs it.`,
    )
  }
}

function rowsOf({ node, openssl, requests }: ReleaseTimings): string[][] {
  return Object.entries(requests).map(([algorithm, timings]) => {
    const [raw, warm, , unseen, parts, fresh] = timings as [Timing, Timing, Timing, Timing, Timing, Timing]
    const micros = ({ least }: Timing) => `${fixed(least)} µs`
    return [
      `Node ${node}, OpenSSL ${openssl}, ${algorithm}`,
      micros(raw),
      `${micros(warm)} (${fixed(warm.least / raw.least, 2)})`,
      `${micros(unseen)} (${fixed(unseen.least / raw.least / 2, 2)})`,
      micros(fresh),
      fixed(fresh.least / parts.least, 2),
    ]
  })
}
