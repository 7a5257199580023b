import picocolors from 'picocolors'

type Colors = ReturnType<typeof picocolors.createColors>

/** The output streams of a command. */
export interface Terminal {
  readonly colors: Colors
  /** Characters in a line. */
  readonly columns: number
  /** Whether a person is watching. */
  readonly isInteractive: boolean
  print(text: string): void
  /** Progress and remarks, which a program that reads the output does not need. */
  remark(text: string): void
}

/** The terminal of this process. `NO_COLOR` and `FORCE_COLOR` count as usual. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process
  const isInteractive = stdout.isTTY === true
  const isColored = isSet(env.NO_COLOR) ? false : isInteractive || isSet(env.FORCE_COLOR)
  return {
    colors: picocolors.createColors(isColored && env.TERM !== 'dumb'),
    columns: widthOf(stdout.columns ?? Number(env.COLUMNS)),
    isInteractive,
    print: (text) => void stdout.write(`${text}\n`),
    remark: (text) => void stderr.write(`${text}\n`),
  }
}

const isSet = (value: string | undefined) => value !== undefined && value !== ''

function widthOf(columns: number): number {
  return Number.isInteger(columns) && columns >= 40 ? Math.min(columns, 120) : 80
}

/** Breaks a text at blanks, so that no line is longer than `width`; a longer word has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].flatMap((long) => long.match(new RegExp(`.{1,${width}}`, 'gsu')) ?? [''])
}
