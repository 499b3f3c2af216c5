//! What a policy says of deficits, as JSON.

use serde::{Deserialize, Serialize};

use crate::domain::deficit::Order;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeficitsForm {
    order: OrderForm,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
struct OrderForm(Order);

impl TryFrom<String> for OrderForm {
    type Error = String;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let known = || Order::WORDS.map(|(word, _)| word).join(", ");
        let order = Order::named(&word).ok_or_else(|| format!("must be one of {}", known()))?;
        Ok(Self(order))
    }
}

impl From<OrderForm> for &'static str {
    fn from(OrderForm(order): OrderForm) -> Self {
        order.word()
    }
}

impl DeficitsForm {
    /// Whether it says what holds anyway.
    pub(super) fn is_usual(&self) -> bool {
        self.order.0 == Order::default()
    }
}

impl From<Order> for DeficitsForm {
    fn from(order: Order) -> Self {
        let order = OrderForm(order);
        Self { order }
    }
}

impl From<DeficitsForm> for Order {
    fn from(form: DeficitsForm) -> Self {
        form.order.0
    }
}
