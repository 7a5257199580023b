import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

/** Collects what the benchmarks saw, in Markdown. */
export interface Report {
  heading(text: string): void
  text(...paragraphs: string[]): void
  table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void
  /** A picture that stands beside the report. */
  picture(name: string, title: string, svg: string): void
  write(): void
}

/** A report that is written to `folder/name`, its pictures beside it. It is printed as it grows, too. */
export function createReport(folder: string, name: string, title: string): Report {
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
      mkdirSync(`${folder}/plots`, { recursive: true })
      const titled = svg.replace(/^<svg[^>]*>/, (tag) => `${tag}<title>${alt}</title>`)
      writeFileSync(`${folder}/plots/${file}.svg`, `${titled}\n`)
      add(`![${alt}](plots/${file}.svg)`, '')
    },
    write: () => writeFileSync(`${folder}/${name}`, `${lines.join('\n').trimEnd()}\n`),
  }
}

/** What the figures depend on besides the code. */
export function machine(): string {
  const [cpu] = cpus()
  const memory = Math.round(totalmem() / 1024 ** 3)
  return `${cpus().length} cores of ${cpu?.model}, ${memory} GiB, ${process.platform} ${process.arch}, Node ${process.version} with OpenSSL ${process.versions.openssl}`
}

/**
 * Gives, each time it is asked, a sentence on how much of the processors' time the host of this virtual machine has kept for
 * others since the last time: that makes everything here slower, and most of all what needs several processors. Empty where
 * there is no telling.
 */
export function watchHost(): () => string {
  let last = processorTimes()
  return () => {
    const now = processorTimes()
    if (now === undefined || last === undefined) return ''
    const share = (now.stolen - last.stolen) / (now.all - last.all)
    last = now
    return `Meanwhile, the host of this machine kept ${fixed(share * 100)} % of its processors' time for others.`
  }
}

/** In ticks since the machine was started, of all its processors (proc_stat(5)); Linux alone counts what was stolen. */
function processorTimes(): { readonly all: number; readonly stolen: number } | undefined {
  try {
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of these.
    const times = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/).slice(1, 9).map(Number)
    const stolen = times?.[7]
    if (times === undefined || stolen === undefined) return undefined
    return { all: times.reduce((sum, time) => sum + time), stolen }
  } catch {
    return undefined
  }
}

/** The commit that was measured; with a mark where the files differ from it. */
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
