// Socket.IO as the benchmarks run it: WebSockets, a room a group, in memory. What is
// posted to /publish?to=room is emitted to the room.
'use strict';
const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((request, answer) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname !== '/publish') return;
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    io.to(url.searchParams.get('to')).emit('m', Buffer.concat(parts).toString());
    answer.setHeader('Content-Length', 2);
    answer.end('ok');
  });
});
server.keepAliveTimeout = 300_000;

// The load does not answer pings: there is none while a run lasts.
const io = new Server(server, { transports: ['websocket'], pingInterval: 600_000, serveClient: false });
io.on('connection', (socket) => socket.join(socket.handshake.query.to));

server.listen(0, '127.0.0.1', 4096, () => {
  console.error(JSON.stringify({ msg: 'serving', http: `127.0.0.1:${server.address().port}` }));
});
process.on('SIGTERM', () => process.exit(0));
