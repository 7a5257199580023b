import { createConformanceApp } from './app.js'

declare const Deno: {
  serve(
    options: { port: number; hostname: string; onListen: (at: { port: number }) => void },
    fetch: (request: Request) => Promise<Response>,
  ): unknown
}

Deno.serve(
  { port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log(`port ${port}`) },
  createConformanceApp(process.env.TESTS ?? ''),
)
