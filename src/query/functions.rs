//! Functions of sketches, by the names and rules they have in Spark: `hll_sketch_estimate` is a whole number, a NULL sketch
//! counts as none, and sketches of different precision unite only if that is said to be meant. Spark has none for bounds:
//! `hll_sketch_lower` and `hll_sketch_upper` are what `users_lower` and `users_upper` are to one row.
//!
//! Unlike Spark's, the estimate does not depend on the order in which users came: it is that of `users_estimate`.

use std::collections::VecDeque;
use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::cast::{as_binary_array, as_boolean_array};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use datafusion::prelude::SessionContext;

use crate::partial::sketch::{Estimate, Precision, UserSketch, UserUnion};

const ESTIMATE: &str = "hll_sketch_estimate";
const LOWER: &str = "hll_sketch_lower";
const UPPER: &str = "hll_sketch_upper";
const UNION: &str = "hll_union";
const UNION_AGG: &str = "hll_union_agg";
pub const NAMES: [&str; 5] = [ESTIMATE, LOWER, UPPER, UNION, UNION_AGG];

pub fn register(session: &SessionContext) {
    for name in [ESTIMATE, LOWER, UPPER] {
        session.register_udf(ScalarUDF::from(Count::new(name)));
    }
    session.register_udf(ScalarUDF::from(Union::new()));
    session.register_udaf(AggregateUDF::from(UnionAgg::new()));
}

/// The sketch in a row, where there is one.
fn sketch(function: &str, sketches: &BinaryArray, row: usize) -> Result<Option<UserSketch>> {
    if sketches.is_null(row) {
        return Ok(None);
    }
    let bytes = sketches.value(row);
    let read = UserSketch::from_bytes(bytes).map_err(|error| {
        exec_datafusion_err!(
            "{function}: {} bytes are {error}; it takes what hll_union, hll_union_agg or Apache DataSketches made, such as \
             the column users_hll",
            bytes.len()
        )
    });
    read.map(Some)
}

fn takes(arguments: &[&[DataType]]) -> Signature {
    let each = arguments.iter().map(|types| TypeSignature::Exact(types.to_vec())).collect();
    Signature::one_of(each, Volatility::Immutable)
}

/// Unites sketches of one precision, or of any if they may differ.
#[derive(Default)]
struct Uniting {
    union: UserUnion,
    precision: Option<Precision>,
}

impl Uniting {
    fn add(&mut self, function: &str, users: &UserSketch, may_differ: bool) -> Result<()> {
        let precision = users.precision();
        let known = *self.precision.get_or_insert(precision);
        if known != precision && !may_differ {
            return exec_err!(
                "{function}: sketches of different precision, lgConfigK {} and {}; to unite them to the coarser one say \
                 {function}(…, true)",
                known.lg_k(),
                precision.lg_k()
            );
        }
        self.union.add(users);
        Ok(())
    }

    /// Spark, too, unites nothing to an empty sketch.
    fn bytes(&self) -> Vec<u8> {
        self.union.sketch().to_bytes()
    }
}

/// `hll_sketch_estimate`, `hll_sketch_lower`, `hll_sketch_upper`: how many users a sketch has.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Count {
    name: &'static str,
    signature: Signature,
}

impl Count {
    fn new(name: &'static str) -> Self {
        Self { name, signature: takes(&[&[DataType::Binary]]) }
    }
}

impl ScalarUDFImpl for Count {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.name == ESTIMATE { DataType::Int64 } else { DataType::Float64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let sketches = as_binary_array(&columns[0])?;
        let estimate = |row| Ok(sketch(self.name, sketches, row)?.map(|users| users.estimate()));
        let estimates = (0..sketches.len()).map(estimate).collect::<Result<Vec<Option<Estimate>>>>()?;
        let bounds = |of: fn(Estimate) -> f64| -> ArrayRef {
            Arc::new(estimates.iter().map(|users| users.map(of)).collect::<Float64Array>())
        };
        let counts: ArrayRef = match self.name {
            LOWER => bounds(|users| users.lower),
            UPPER => bounds(|users| users.upper),
            _ => {
                let whole = estimates.iter().map(|users| users.map(|users| users.estimate.round() as i64));
                Arc::new(whole.collect::<Int64Array>())
            }
        };
        Ok(ColumnarValue::Array(counts))
    }
}

/// `hll_union(one, other[, may differ])`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Union {
    signature: Signature,
}

impl Union {
    fn new() -> Self {
        let two = [DataType::Binary, DataType::Binary];
        Self { signature: takes(&[&two, &[DataType::Binary, DataType::Binary, DataType::Boolean]]) }
    }
}

impl ScalarUDFImpl for Union {
    fn name(&self) -> &str {
        UNION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let (ones, others) = (as_binary_array(&columns[0])?, as_binary_array(&columns[1])?);
        let may_differ: Option<&BooleanArray> = columns.get(2).map(|column| as_boolean_array(column)).transpose()?;
        let mut united = BinaryBuilder::new();
        for row in 0..ones.len() {
            let (one, other) = (sketch(UNION, ones, row)?, sketch(UNION, others, row)?);
            let may_differ = may_differ.is_some_and(|may| may.is_valid(row) && may.value(row));
            match (one, other) {
                (Some(one), Some(other)) => {
                    let mut uniting = Uniting::default();
                    uniting.add(UNION, &one, may_differ)?;
                    uniting.add(UNION, &other, may_differ)?;
                    united.append_value(uniting.bytes());
                }
                _ => united.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(united.finish())))
    }
}

/// `hll_union_agg(sketch[, may differ])`, also over a window of rows, such as the last seven days.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UnionAgg {
    signature: Signature,
}

impl UnionAgg {
    fn new() -> Self {
        Self { signature: takes(&[&[DataType::Binary], &[DataType::Binary, DataType::Boolean]]) }
    }
}

/// The second argument, which says the same of all rows.
fn may_differ(args: &AccumulatorArgs<'_>) -> Result<bool> {
    let Some(argument) = args.exprs.get(1) else { return Ok(false) };
    match argument.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Boolean(Some(may_differ))) => Ok(*may_differ),
        _ => plan_err!("{UNION_AGG}: the second argument is {argument}; it is either true or false"),
    }
}

impl AggregateUDFImpl for UnionAgg {
    fn name(&self) -> &str {
        UNION_AGG
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "union"), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Group { may_differ: may_differ(&args)?, uniting: Uniting::default() }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Window { may_differ: may_differ(&args)?, rows: VecDeque::new() }))
    }
}

/// The union of a group of rows.
struct Group {
    may_differ: bool,
    uniting: Uniting,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({:?})", self.uniting.precision)
    }
}

impl Accumulator for Group {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let sketches = as_binary_array(&columns[0])?;
        for row in 0..sketches.len() {
            if let Some(users) = sketch(UNION_AGG, sketches, row)? {
                self.uniting.add(UNION_AGG, &users, self.may_differ)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    /// NULL where there was no sketch yet, whose precision is then not known either.
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(self.uniting.precision.map(|_| self.uniting.bytes()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(self.uniting.bytes())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.uniting.precision.map_or(0, Precision::bytes_max)
    }
}

/// The union of rows of which the first ones leave as others come. A union cannot be undone, so it is made anew each time.
struct Window {
    may_differ: bool,
    rows: VecDeque<Option<UserSketch>>,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({} rows)", self.rows.len())
    }
}

impl Accumulator for Window {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let sketches = as_binary_array(&columns[0])?;
        let new = (0..sketches.len()).map(|row| sketch(UNION_AGG, sketches, row));
        new.into_iter().try_for_each(|users| {
            self.rows.push_back(users?);
            Ok(())
        })
    }

    fn retract_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.rows.drain(..columns[0].len().min(self.rows.len()));
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut uniting = Uniting::default();
        for users in self.rows.iter().flatten() {
            uniting.add(UNION_AGG, users, self.may_differ)?;
        }
        Ok(ScalarValue::Binary(Some(uniting.bytes())))
    }

    fn size(&self) -> usize {
        let sketches = self.rows.iter().flatten().map(UserSketch::heap_bytes);
        size_of_val(self) + self.rows.len() * size_of::<Option<UserSketch>>() + sketches.sum::<usize>()
    }
}
