import type { Segment } from '../policy/route-key.js'

/** The values of one pattern by method. `*` applies to every method without a value of its own. */
export type ValuesByMethod<T> = Map<string, T>

interface Node<T> {
  readonly literals: Map<string, Node<T>>
  param: Node<T> | undefined
  /** Values of the pattern that ends here. */
  values: ValuesByMethod<T> | undefined
  /** Values of the pattern that ends here with `*`. */
  wildcards: ValuesByMethod<T> | undefined
}

/**
 * Path patterns, matched segment by segment from the left: literal before parameter before `*`. If the most
 * specific pattern has no value for the method, the next one is tried, as routers try the next handler. The
 * cost depends on the segments of the path, not on the number of patterns.
 */
export class RouteTree<T> {
  readonly #root: Node<T> = createNode()

  /** Keeps the first value for a pattern and method. */
  add(segments: readonly Segment[], method: string, value: T): void {
    let node = this.#root
    for (const segment of segments) {
      if (segment.kind === 'wildcard') {
        node.wildcards ??= new Map()
        if (!node.wildcards.has(method)) node.wildcards.set(method, value)
        return
      }
      node = segment.kind === 'param' ? paramNode(node) : literalNode(node, segment.text)
    }
    node.values ??= new Map()
    if (!node.values.has(method)) node.values.set(method, value)
  }

  /**
   * The most specific value. `path` starts with a slash. A trailing slash is ignored.
   * `wildcardMatchesEmpty`: whether `*` also matches nothing.
   */
  find(method: string, path: string, wildcardMatchesEmpty: boolean): T | undefined {
    const end = endOf(path)
    return end === 0
      ? findAtEnd(this.#root, method, wildcardMatchesEmpty)
      : this.#find(this.#root, method, path, 1, end, wildcardMatchesEmpty)
  }

  /** The values of all patterns that match, the most specific last. */
  findAll(method: string, path: string, wildcardMatchesEmpty: boolean): T[] {
    const found: T[] = []
    const end = endOf(path)
    this.#collect(this.#root, method, path, 1, end, wildcardMatchesEmpty, found)
    return found.reverse()
  }

  #find(
    node: Node<T>,
    method: string,
    path: string,
    start: number,
    end: number,
    wildcardMatchesEmpty: boolean,
  ): T | undefined {
    const slash = path.indexOf('/', start)
    const isLast = slash < 0 || slash >= end
    const literal = node.literals.get(path.slice(start, isLast ? end : slash))
    for (const child of [literal, node.param]) {
      if (child === undefined) continue
      const found = isLast
        ? findAtEnd(child, method, wildcardMatchesEmpty)
        : this.#find(child, method, path, slash + 1, end, wildcardMatchesEmpty)
      if (found !== undefined) return found
    }
    return pick(node.wildcards, method)
  }

  #collect(
    node: Node<T>,
    method: string,
    path: string,
    start: number,
    end: number,
    wildcardMatchesEmpty: boolean,
    found: T[],
  ): void {
    if (start > end) {
      collectValues(node.values, method, found)
      if (wildcardMatchesEmpty) collectValues(node.wildcards, method, found)
      return
    }
    const slash = path.indexOf('/', start)
    const stop = slash < 0 || slash >= end ? end : slash
    const literal = node.literals.get(path.slice(start, stop))
    for (const child of [literal, node.param]) {
      if (child !== undefined) this.#collect(child, method, path, stop + 1, end, wildcardMatchesEmpty, found)
    }
    collectValues(node.wildcards, method, found)
  }
}

function findAtEnd<T>(node: Node<T>, method: string, wildcardMatchesEmpty: boolean): T | undefined {
  return pick(node.values, method) ?? (wildcardMatchesEmpty ? pick(node.wildcards, method) : undefined)
}

/** The end of the last segment. 0 if there is none. */
function endOf(path: string): number {
  return path.charCodeAt(path.length - 1) === 0x2f ? path.length - 1 : path.length
}

/** The value for the method, else the value for every method. */
export function pick<T>(values: ValuesByMethod<T> | undefined, method: string): T | undefined {
  return values?.get(method) ?? values?.get('*')
}

function collectValues<T>(values: ValuesByMethod<T> | undefined, method: string, found: T[]): void {
  for (const name of [method, '*']) {
    const value = values?.get(name)
    if (value !== undefined) found.push(value)
  }
}

function createNode<T>(): Node<T> {
  return { literals: new Map(), param: undefined, values: undefined, wildcards: undefined }
}

function paramNode<T>(node: Node<T>): Node<T> {
  node.param ??= createNode()
  return node.param
}

function literalNode<T>(node: Node<T>, text: string): Node<T> {
  const existing = node.literals.get(text)
  if (existing !== undefined) return existing
  const created: Node<T> = createNode()
  node.literals.set(text, created)
  return created
}
