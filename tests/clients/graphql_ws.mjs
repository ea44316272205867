// Follows events by graphql-ws: prints the cursor of each, resumes from the last one, and ends after so many.
// node graphql_ws.mjs PORT TOKEN AFTER COUNT
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [port, token, after, count] = process.argv.slice(2);
let cursor = after;
let left = Number(count);

const client = createClient({
  url: `ws://127.0.0.1:${port}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: () => ({ authorization: `Bearer ${token}` }),
  retryAttempts: 50,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
  shouldRetry: () => true,
});

const query = "subscription ($after: Cursor) { events(after: $after) { cursor } }";
while (left > 0) {
  // One that ends, for whatever reason, is begun again after the last cursor.
  const events = client.iterate({
    query,
    variables: {
      get after() {
        return cursor;
      },
    },
  });
  for await (const { data, errors } of events) {
    if (errors) throw new Error(JSON.stringify(errors));
    cursor = data.events.cursor;
    console.log(cursor);
    left -= 1;
    if (left === 0) break;
  }
}
await client.dispose();
