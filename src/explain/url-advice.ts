/**
 * Advice for a proof whose URL differs from the URL of the request.
 */
export function adviceOfUrl(expected: string | undefined, found: string | undefined): string | undefined {
  const api = firstOf(expected)
  const caller = found ?? ''
  if (!URL.canParse(api)) return undefined
  if (!/^https?:\/\//i.test(caller) || !URL.canParse(caller))
    return `At the caller: put the whole URL of the request into htu, as in ${quoted(api)}.`
  const [ours, theirs] = [new URL(api), new URL(caller)]
  const isSameHost = ours.host === theirs.host
  const stripped = before(theirs.pathname, ours.pathname)
  if (isSameHost && ours.protocol !== theirs.protocol) return adviceOfScheme(ours, theirs, stripped ?? '')
  if (isSameHost && stripped !== undefined && stripped !== '')
    return `At the API: set publicUrl to ${quoted(theirs.origin + stripped)}. A proxy strips the prefix ${quoted(stripped)} in front of it.`
  if (!isSameHost)
    return `At the API: set publicUrl to ${quoted(theirs.origin + (stripped ?? ''))}, if clients reach it there. At the caller: make the proof for ${quoted(api)}.`
  return adviceOfPath(ours, theirs)
}

function adviceOfScheme(ours: URL, theirs: URL, prefix: string): string {
  return ours.protocol === 'http:'
    ? `At the API: set publicUrl to ${quoted(theirs.origin + prefix)}. A proxy ends TLS in front of it, so that clients use https.`
    : 'At the caller: make the proof for the https URL. A client behind a proxy that ends TLS may see http instead of https.'
}

/** Host and scheme are the same. */
function adviceOfPath(ours: URL, theirs: URL): string {
  const missing = before(ours.pathname, theirs.pathname)
  if (missing !== undefined && missing !== '' && theirs.pathname !== '/')
    return `At the caller: call the API at ${quoted(ours.href)}, and make the proof for that URL. At the API: take ${quoted(missing)} out of publicUrl, if no proxy strips it.`
  const make = `At the caller: make the proof for ${quoted(ours.href)}, the very URL of the request.`
  if (ours.pathname === theirs.pathname) return `${make} Its htu is another spelling of it.`
  if (ours.pathname.replace(/\/$/, '') === theirs.pathname.replace(/\/$/, ''))
    return `${make} The last slash counts.`
  if (ours.pathname.toLowerCase() === theirs.pathname.toLowerCase()) return `${make} Letter case counts.`
  return `${make} Its htu has another path: one proof is good for one URL. Letter case and the last slash count.`
}

/** The part of a path before this end. Undefined if the path ends otherwise. */
function before(path: string, end: string): string | undefined {
  return path.endsWith(end) ? path.slice(0, path.length - end.length) : undefined
}

/** Expected values are joined by `or`. */
export function firstOf(texts: string | undefined): string {
  return (texts ?? '').split(' or ', 1)[0] ?? ''
}

export function quoted(text: string | undefined): string {
  return `"${text ?? ''}"`
}
