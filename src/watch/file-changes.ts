import { fileSystem, nameOf } from '../policy/load.js'

/** The content of a changed file, or the error of the file system. */
export type FileChange = { readonly bytes: Uint8Array } | { readonly error: Error }

/** How long a file must be left alone before it is read: editors and copies write in several steps. */
const settlingMilliseconds = 100

/** A file that is written without a pause is read after this many looks. */
const maxLooks = 50

/**
 * Calls `onChange` after the file has changed, one call at a time, until the returned function is called.
 * Looks at the file every `interval` seconds, and when its folder reports an event. By path, through all
 * links: a file that is replaced by another, and a link that points somewhere else, are changes. Keeps no
 * process alive.
 */
export function watchFile(
  file: string | URL,
  interval: number,
  onChange: (change: FileChange) => void,
): () => void {
  const fs = fileSystem(file)
  let seen: string | undefined
  let isClosed = false
  let isLooking = false
  let isEventMissed = false

  /** Changes with every write, and with every other file at this path. */
  async function signature(): Promise<string> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await fs.promises.stat(file, { bigint: true })
      return [dev, ino, size, mtimeNs, ctimeNs].join()
    } catch (error) {
      return `none: ${toError(error).message}`
    }
  }

  async function settled(): Promise<string> {
    let current = await signature()
    for (let looks = 0; looks < maxLooks && !isClosed; looks++) {
      await pause(settlingMilliseconds)
      const next = await signature()
      if (next === current) break
      current = next
    }
    return current
  }

  async function read(): Promise<FileChange> {
    try {
      // Reading a pipe or a device could take for ever.
      if (!(await fs.promises.stat(file)).isFile()) throw new Error('it is no regular file')
      return { bytes: await fs.promises.readFile(file) }
    } catch (error) {
      return { error: toError(error) }
    }
  }

  async function lookOnce(): Promise<void> {
    if ((await signature()) === seen) return
    const before = await settled()
    const change = await read()
    // Written while it was read: the next look reads it again.
    if (isClosed || before !== (await signature())) return
    seen = before
    if (!isClosed) onChange(change)
  }

  async function look(): Promise<void> {
    isEventMissed = isLooking
    if (isLooking || isClosed) return
    isLooking = true
    try {
      do {
        isEventMissed = false
        await lookOnce()
      } while (isEventMissed && !isClosed)
    } finally {
      isLooking = false
    }
  }

  const timer = setInterval(look, interval * 1000)
  timer.unref?.()
  const stopEvents = watchFolder(fs, nameOf(file), look)
  void look()
  return () => {
    isClosed = true
    clearInterval(timer)
    stopEvents()
  }
}

/** Events only make it faster: file systems in containers and on networks report none. */
function watchFolder(fs: ReturnType<typeof fileSystem>, name: string, onEvent: () => void): () => void {
  try {
    const folder = name.replace(/[^/\\]*$/, '') || '.'
    const watcher = fs.watch(folder, { persistent: false }, () => void onEvent())
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch {
    return () => {}
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref?.())
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
