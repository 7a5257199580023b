/**
 * Options of curl 8 that take a value, as in `curl --help all`. A value that is not known as one would pass
 * for a URL.
 */
const withValue = `
abstract-unix-socket alt-svc aws-sigv4 cacert capath cert/E cert-type ciphers config/K connect-timeout connect-to
continue-at/C cookie/b cookie-jar/c create-file-mode crlfile curves data/d data-ascii data-binary data-raw
data-urlencode delegation dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers doh-url dump-header/D ech egd-file
engine etag-compare etag-save expect100-timeout form/F form-string ftp-account ftp-alternative-to-user ftp-method
ftp-port/P ftp-ssl-ccc-mode happy-eyeballs-timeout-ms haproxy-clientip header/H hostpubmd5 hostpubsha256 hsts
interface ip-tos ipfs-gateway json keepalive-cnt keepalive-time key key-type krb libcurl limit-rate local-port
login-options mail-auth mail-from mail-rcpt max-filesize max-redirs max-time/m netrc-file noproxy oauth2-bearer
output/o output-dir parallel-max pass pinnedpubkey preproxy proto proto-default proto-redir proxy/x proxy-cacert
proxy-capath proxy-cert proxy-cert-type proxy-ciphers proxy-crlfile proxy-header proxy-key proxy-key-type
proxy-pass proxy-pinnedpubkey proxy-service-name proxy-tls13-ciphers proxy-tlsauthtype proxy-tlspassword
proxy-tlsuser proxy-user/U proxy1.0 pubkey quote/Q random-file range/r rate referer/e request/X request-target
resolve retry retry-delay retry-max-time sasl-authzid service-name sigalgs socks4 socks4a socks5
socks5-gssapi-service socks5-hostname speed-limit/Y speed-time/y stderr telnet-option/t tftp-blksize time-cond/z
tls-max tls13-ciphers tlsauthtype tlspassword tlsuser trace trace-ascii trace-config unix-socket upload-file/T
url url-query user/u user-agent/A variable vlan-priority write-out/w`

export interface CurlOption {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  readonly multiple?: true
}

/** For `parseArgs` of Node.js. */
export const curlOptions: Readonly<Record<string, CurlOption>> = {
  ...Object.fromEntries(
    withValue
      .trim()
      .split(/\s+/)
      .map((text): [string, CurlOption] => {
        const [name = '', short] = text.split('/')
        return [name, { type: 'string', multiple: true, ...(short === undefined ? {} : { short }) }]
      }),
  ),
  get: { type: 'boolean', short: 'G' },
  head: { type: 'boolean', short: 'I' },
}
