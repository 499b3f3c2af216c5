//! An order trace: CSV, gzip or not, the lines of an order together. Pure.

use std::collections::HashMap;
use std::io::Read;

use crate::domain::Sku;

/// Largest trace, unpacked. A file that unpacks to more is refused, not read to the end.
const TRACE_BYTES_MAX: u64 = 1 << 30;

/// What the header must name; other columns are left alone.
const COLUMNS: [&str; 3] = ["order_ref", "sku", "quantity"];

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// Its name in the trace.
    pub(super) reference: String,
    /// Index of the SKU, quantity.
    pub(super) lines: Vec<(usize, u64)>,
}

/// A whole trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trace {
    /// The SKUs, in order of first appearance.
    pub(super) skus: Vec<String>,
    /// Units of each SKU that all orders together ask for.
    pub(super) demand: Vec<u64>,
    /// The orders, in file order.
    pub(super) orders: Vec<Order>,
}

/// Reads a trace from the bytes of its file.
pub(super) fn read(bytes: &[u8]) -> Result<Trace, String> {
    let mut plain = Vec::new();
    let plain = if bytes.starts_with(b"\x1f\x8b") {
        let unpacked = flate2::read::MultiGzDecoder::new(bytes)
            .take(TRACE_BYTES_MAX + 1)
            .read_to_end(&mut plain)
            .map_err(|e| format!("cannot unpack: {e}"))?;
        if u64::try_from(unpacked).is_ok_and(|n| n > TRACE_BYTES_MAX) {
            return Err(format!("unpacks to more than {TRACE_BYTES_MAX} bytes"));
        }
        plain.as_slice()
    } else {
        bytes
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(plain);
    let header = reader.headers().map_err(|e| e.to_string())?;
    let column = |name: &str| {
        header.iter().position(|h| h == name).ok_or_else(|| {
            format!(
                "the header has no column {name}; it needs {}",
                COLUMNS.join(", ")
            )
        })
    };
    let [order, sku, quantity] = COLUMNS;
    let columns = [column(order)?, column(sku)?, column(quantity)?];
    let mut trace = Builder::default();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let [order, sku, quantity] = columns.map(|at| record.get(at).unwrap_or_default());
        trace
            .take(order, sku, quantity)
            .map_err(|e| format!("line {line}: {e}"))?;
    }
    Ok(trace.trace)
}

#[derive(Default)]
struct Builder {
    trace: Trace,
    places: HashMap<String, usize>,
}

impl Builder {
    fn take(&mut self, order: &str, sku: &str, quantity: &str) -> Result<(), String> {
        let quantity: u64 = quantity
            .parse()
            .map_err(|_error| format!("quantity {quantity} is not a number"))?;
        Sku::new(sku).map_err(|e| format!("SKU {sku} {e}"))?;
        let trace = &mut self.trace;
        let place = self.places.get(sku).copied().unwrap_or_else(|| {
            trace.skus.push(sku.to_owned());
            trace.demand.push(0);
            self.places.insert(sku.to_owned(), trace.skus.len() - 1);
            trace.skus.len() - 1
        });
        if let Some(demand) = trace.demand.get_mut(place) {
            *demand = demand
                .checked_add(quantity)
                .ok_or("the demand is too large")?;
        }
        match trace.orders.last_mut() {
            Some(last) if last.reference == order => last.lines.push((place, quantity)),
            Some(_) | None => trace.orders.push(Order {
                reference: order.to_owned(),
                lines: vec![(place, quantity)],
            }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ts,order_ref,sku,quantity\nt,o1,a,1\nt,o1,b,2\nt,o2,a,3\n";

    #[test]
    fn lines_of_an_order_stay_together() {
        let trace = read(TEXT.as_bytes()).unwrap();
        assert_eq!(trace.skus, ["a", "b"]);
        assert_eq!(trace.demand, [4, 2]);
        let lines: Vec<_> = trace
            .orders
            .iter()
            .map(|o| (&*o.reference, &*o.lines))
            .collect();
        assert_eq!(lines, [("o1", &[(0, 1), (1, 2)][..]), ("o2", &[(0, 3)])]);
    }

    #[test]
    fn gzip_is_unpacked() {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(TEXT.as_bytes()).unwrap();
        assert_eq!(read(&packer.finish().unwrap()), read(TEXT.as_bytes()));
    }

    #[test]
    fn a_bad_trace_names_the_line() {
        let error = read(b"order_ref,sku,quantity\no,a,1\no,a,x\n").unwrap_err();
        assert!(error.starts_with("line 3: quantity x"), "{error}");
        assert!(read(b"sku,quantity\n").unwrap_err().contains("order_ref"));
    }
}
