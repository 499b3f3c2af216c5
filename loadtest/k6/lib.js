// What the scripts share: requests, outcomes, and the summary. No imports from the web.
import http from 'k6/http';
import { Counter } from 'k6/metrics';

export const BASE = __ENV.BASE_URL || 'http://127.0.0.1:8080';

// A refusal is an outcome, not a failure: the server did its work.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 409));

export const accepted = new Counter('reserve_accepted');
export const refused = new Counter('reserve_refused');
export const failed = new Counter('reserve_failed');
export const replayed = new Counter('reserve_replayed');
export const confirmed = new Counter('confirm_done');
export const released = new Counter('release_done');

// Every run has keys of its own, so that runs on one server do not meet.
const RUN = __ENV.RUN || `k6-${Date.now().toString(36)}`;
let calls = 0;
export function newKey(exec) {
  calls += 1;
  return `${RUN}-${exec.vu.idInTest}-${calls}`;
}

function post(path, body, key, name) {
  return http.post(BASE + path, body === null ? null : JSON.stringify(body), {
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
    tags: { name },
  });
}

// Reserves; returns the reservation, or null when it was refused or failed. A repetition, with a
// key that was answered before, is counted apart.
export function reserve(key, order, repeated) {
  const res = post('/v1/reservations', order, key, 'reserve');
  if (res.status === 201) {
    (repeated ? replayed : accepted).add(1);
    return JSON.parse(res.body);
  }
  if (res.status !== 409) failed.add(1);
  else if (!repeated) refused.add(1);
  return null;
}

export function act(id, action, key) {
  const res = post(`/v1/reservations/${id}/${action}`, null, key, action);
  if (res.status === 200) (action === 'confirm' ? confirmed : released).add(1);
  return res;
}

export function availability(sku, channel) {
  return http.get(`${BASE}/v1/atp/${sku}?channel=${channel}`, { tags: { name: 'atp' } });
}

// Puts stock on SKUs named by number, 1,000 a call.
export function seed(count, units) {
  for (let from = 0; from < count; from += 1000) {
    const items = [];
    for (let at = from; at < Math.min(count, from + 1000); at += 1) {
      items.push({ sku: sku(at), on_hand: units, change_from: null });
    }
    const res = post('/v1/stock', { items, reason: 'k6' }, `${RUN}-stock-${from}`, 'stock');
    if (res.status !== 200) throw new Error(`stock: ${res.status} ${res.body}`);
  }
}

export function sku(number) {
  return `SKU-${String(number).padStart(6, '0')}`;
}

// Draws 0..n-1 with weight 1/(rank+1)^s, by bisection in the sums.
export function zipf(n, s) {
  const sums = new Float64Array(n);
  let sum = 0;
  for (let at = 0; at < n; at += 1) {
    sum += 1 / Math.pow(at + 1, s);
    sums[at] = sum;
  }
  return () => {
    const x = Math.random() * sum;
    let low = 0;
    let high = n - 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (sums[mid] < x) low = mid + 1;
      else high = mid;
    }
    return low;
  };
}

// Draws a key of {name: weight}.
export function weighted(weights) {
  const names = Object.keys(weights);
  const total = names.reduce((sum, name) => sum + weights[name], 0);
  return () => {
    let x = Math.random() * total;
    for (const name of names) {
      x -= weights[name];
      if (x < 0) return name;
    }
    return names[names.length - 1];
  };
}

export const trendStats = ['avg', 'min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'];

// Replaces the default console text.
export function summarize(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  const lines = ['reserve_accepted', 'reserve_refused', 'reserve_replayed', 'reserve_failed',
    'confirm_done', 'release_done', 'dropped_iterations', 'http_reqs']
    .map((name) => `${name.padEnd(22)} ${count(name)}`);
  for (const name of Object.keys(data.metrics).sort()) {
    const { type, values, thresholds } = data.metrics[name];
    if (type === 'trend' && name.startsWith('http_req_duration')) {
      const figures = trendStats.map((stat) => `${stat} ${(values[stat] || 0).toFixed(2)}`);
      lines.push(`${name.padEnd(22)} ${figures.join('  ')}`);
    }
    for (const [rule, { ok }] of Object.entries(thresholds || {})) {
      lines.push(`${ok ? 'passed' : 'FAILED'}  ${name}: ${rule}`);
    }
  }
  const out = { stdout: `${lines.join('\n')}\n` };
  out[__ENV.SUMMARY || 'summary.json'] = JSON.stringify(data, null, 1);
  return out;
}
