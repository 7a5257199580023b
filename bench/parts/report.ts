import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

/** Collects results in Markdown. */
export interface Report {
  heading(text: string): void
  text(...paragraphs: string[]): void
  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void
  /** Adds a picture, stored in the folder `plots` of the report. */
  picture(name: string, title: string, svg: string): void
  write(): void
}

/** A report for `bench/name`. Each part is also printed at once. */
export function createReport(name: string, title: string, plots = 'plots'): Report {
  const lines = [`# ${title}`, '']
  const add = (...more: string[]) => {
    lines.push(...more)
    console.log(more.join('\n'))
  }
  return {
    heading: (text) => add(`## ${text}`, ''),
    text: (...paragraphs) => add(...paragraphs.filter(Boolean).flatMap((paragraph) => [paragraph, ''])),
    table(head, rows) {
      const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
      add(row(head), row(head.map(() => '---')), ...rows.map(row), '')
    },
    picture(file, alt, svg) {
      mkdirSync(`bench/${plots}`, { recursive: true })
      const titled = svg.replace(/^<svg[^>]*>/, (tag) => `${tag}<title>${alt}</title>`)
      writeFileSync(`bench/${plots}/${file}.svg`, `${titled}\n`)
      add(`![${alt}](${plots}/${file}.svg)`, '')
    },
    write: () => writeFileSync(`bench/${name}`, `${lines.join('\n').trimEnd()}\n`),
  }
}

/** The processor without trademarks, frequency and number of cores, such as `Intel Xeon`. */
export function processor(model = cpus()[0]?.model ?? ''): string {
  const name = model
    .replaceAll(/\((?:R|TM|C)\)/gi, ' ')
    .replaceAll(/@.*|\b(?:CPU|Processor|\d+-Core)\b/g, ' ')
    .replaceAll(/[^A-Za-z0-9. -]/g, ' ')
  return name.trim().replaceAll(/ +/g, ' ') || 'unknown processor'
}

/** The machine and the runtime of the benchmark. */
export function machine(): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 1024 ** 3)
  return (
    `${cpus().length} cores of ${cpu?.model}, ${memory} GiB, ${process.platform} ${process.arch}, ` +
    `Node ${process.version} with OpenSSL ${process.versions.openssl}`
  )
}

/**
 * Returns a function that describes the steal time since its last call: processor time that the host gave to
 * other virtual machines. It slows everything, most of all code on several processors. Empty if it is
 * unknown.
 */
export function watchHost(): () => string {
  let last = processorTimes()
  return () => {
    const now = processorTimes()
    if (now === undefined || last === undefined) return ''
    const share = (now.stolen - last.stolen) / (now.all - last.all)
    last = now
    return (
      `During this, the host gave ${fixed(share * 100)} % of the processor time to other virtual ` +
      'machines.'
    )
  }
}

/** Ticks of all processors since the start of the machine (proc_stat(5)). Only Linux counts steal time. */
function processorTimes(): { readonly all: number; readonly stolen: number } | undefined {
  try {
    // user, nice, system, idle, iowait, irq, softirq, steal; later columns are included in these.
    const times = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/).slice(1, 9).map(Number)
    const stolen = times?.[7]
    if (times === undefined || stolen === undefined) return undefined
    return { all: times.reduce((sum, time) => sum + time), stolen }
  } catch {
    return undefined
  }
}

/** The measured commit, with a mark if files were changed. */
export function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  try {
    const isChanged = git('status', '--porcelain', '--', 'src', 'middleware') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`
  } catch {
    return 'no checkout'
  }
}

export function versionOf(dependency: string): string {
  const { version } = JSON.parse(readFileSync(`node_modules/${dependency}/package.json`, 'utf8')) as {
    version: string
  }
  return version
}

export function fixed(value: number, digits = 1): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
