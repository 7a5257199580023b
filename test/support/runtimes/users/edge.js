import { app } from './app.js'

addEventListener('fetch', (event) => event.respondWith(app.fetch(event.request)))
