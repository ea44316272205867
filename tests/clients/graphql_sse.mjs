// Follows events by graphql-sse: prints the cursor of each, resumes from the last one, and ends after so many.
// node graphql_sse.mjs PORT TOKEN AFTER COUNT
import { createClient } from "graphql-sse";

const [port, token, after, count] = process.argv.slice(2);
let cursor = after;
let left = Number(count);

const client = createClient({
  url: `http://127.0.0.1:${port}/graphql`,
  headers: () => ({ authorization: `Bearer ${token}` }),
  retryAttempts: 50,
  retry: () => new Promise((resolve) => setTimeout(resolve, 100)),
});

const query = "subscription ($after: Cursor) { events(after: $after) { cursor } }";
while (left > 0) {
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
client.dispose();
process.exit(0);
