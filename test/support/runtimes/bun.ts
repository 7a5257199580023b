import { createConformanceApp } from './app.js'

declare const Bun: {
  serve(options: { port: number; hostname: string; fetch: (request: Request) => Promise<Response> }): {
    port: number
  }
}

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch: createConformanceApp(process.env.TESTS ?? ''),
})
console.log(`port ${server.port}`)
