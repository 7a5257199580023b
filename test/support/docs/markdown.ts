import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

/** A fenced block of a document. */
export interface Block {
  /** Path from the root of the repository. */
  readonly file: string
  readonly line: number
  readonly language: string
  /**
   * The comment above the block: `<!-- example: NAME -->`, or `<!-- data: WHAT -->` for JSON that is not a
   * policy.
   */
  readonly directive: string | undefined
  readonly code: string
}

const inFolder = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md') && !file.includes('node_modules'))
    .map((file) => `${folder}/${file}`)

/** Every document for readers, as a path from the root of the repository. */
export const documents: readonly string[] = [
  ...['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...inFolder('docs'),
  ...inFolder('fixtures/examples'),
].sort()

export function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

export function exists(file: string): boolean {
  return existsSync(join(root, file))
}

export function blocksOf(file: string): Block[] {
  const text = textOf(file)
  return [...text.matchAll(/(?:^<!-- ([^\n]+?) -->\n)?^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    file,
    line: text.slice(0, match.index).split('\n').length + (match[1] === undefined ? 0 : 1),
    language: match[2] ?? '',
    directive: match[1],
    code: match[3] ?? '',
  }))
}

/** The text without code blocks and code spans. */
export function proseOf(file: string): string {
  return textOf(file)
    .replaceAll(/^```.*?^```$/gms, '')
    .replaceAll(/`[^`\n]*`/g, '')
}

/** The GitHub anchor of a heading. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

export function anchorsOf(file: string): Set<string> {
  const text = textOf(file).replaceAll(/^```.*?^```$/gms, '')
  return new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading as string)))
}

/** The cells of each row of the first table under a heading. */
export function tableUnder(file: string, heading: string): string[][] {
  const section = textOf(file)
    .split(/^#+ /m)
    .find((text) => text.startsWith(`${heading}\n`))
  if (section === undefined) throw new Error(`${file} has no heading "${heading}"`)
  const [table = ''] = /(^\|.*\n)+/m.exec(`${section}\n`) ?? []
  // Without the header row and the delimiter row.
  return table
    .trimEnd()
    .split('\n')
    .slice(2)
    .map((line) => line.slice(2, -2).split(' | '))
}
