// graphql-ws on Node, for bench.fanout to be measured against: the same event to as many subscribers.
// Prints its port, and publishes to `all` or `some` at each such line on standard input.
import { EventEmitter } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const schema = buildSchema(`
  type Query { nothing: Int }
  type Subscription { events(some: Boolean): Event! }
  type Email { address: String! addedAt: String! isInternal: Boolean! }
  type Candidate { id: ID! externalId: String name: String! emails: [Email!]! syncState: String! }
  type Event { cursor: String! at: String! candidate: Candidate! }
`);
const bus = new EventEmitter();
bus.setMaxListeners(0);

class Queue {
  constructor(topics) {
    this.waiting = [];
    this.wake = null;
    for (const topic of topics) bus.on(topic, (event) => this.put(event));
  }
  put(event) {
    if (this.wake) {
      this.wake({ value: { events: event }, done: false });
      this.wake = null;
    } else this.waiting.push(event);
  }
  next() {
    if (this.waiting.length) return Promise.resolve({ value: { events: this.waiting.shift() }, done: false });
    return new Promise((resolve) => (this.wake = resolve));
  }
  return() {
    return Promise.resolve({ done: true });
  }
  [Symbol.asyncIterator]() {
    return this;
  }
}

schema.getSubscriptionType().getFields().events.subscribe = (_, { some }) => new Queue(some ? ["all", "some"] : ["all"]);

const http = createServer();
useServer({ schema }, new WebSocketServer({ server: http, path: "/graphql", perMessageDeflate: false }));
http.listen({ port: 0, host: "127.0.0.1", backlog: 2048 }, () => console.log(http.address().port));
createInterface({ input: process.stdin }).on("line", (topic) => {
  const position = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
  bus.emit(topic, {
    cursor: `${position.toString(16).padStart(16, "0")}.0123456789abcdef01234567`,
    at: "2026-11-22T12:00:00.000Z",
    candidate: {
      id: "candidate_" + "0".repeat(32),
      externalId: "all",
      name: "Candidate 00000",
      emails: [{ address: "all@mail.example", addedAt: "2026-11-22T12:00:00.000000Z", isInternal: false }],
      syncState: "ACTIVE",
    },
  });
});
