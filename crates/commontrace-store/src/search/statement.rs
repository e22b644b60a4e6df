//! A statement that is put together: its text and the values for its parameters.

use sqlx::encode::Encode;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{Arguments, AssertSqlSafe, Error, FromRow, Postgres, Type};

/// A statement under construction.
#[derive(Default)]
pub(super) struct Statement {
    /// What is sent; holds no value that came from outside.
    pub text: String,
    arguments: PgArguments,
}

impl Statement {
    /// Adds a value and returns how the text names it.
    pub fn bind<'v>(
        &mut self,
        value: impl Encode<'v, Postgres> + Type<Postgres> + 'v,
    ) -> Result<String, Error> {
        self.arguments.add(value).map_err(Error::Encode)?;
        Ok(format!("${}", self.arguments.len()))
    }

    /// Adds numbers and returns how the text names them: so that the plan cannot depend on them. The
    /// server would else find plans for the given numbers a little cheaper, and make one each time.
    pub fn bind_list(&mut self, numbers: &[i32]) -> Result<String, Error> {
        let parameter = self.bind(numbers.to_vec())?;
        Ok(format!("(SELECT {parameter})"))
    }

    /// Prepares to run it.
    pub fn query<'q, Row>(self) -> QueryAs<'q, Postgres, Row, PgArguments>
    where
        Row: for<'r> FromRow<'r, sqlx::postgres::PgRow>,
    {
        sqlx::query_as_with(AssertSqlSafe(self.text), self.arguments)
    }
}
