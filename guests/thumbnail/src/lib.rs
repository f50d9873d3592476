//! Images made small: work for the processor, left to a job.
//!
//! `POST /?width=W&height=H` answers the PNG or PNM image in the body as a PNG that fits into so many
//! pixels. While it is computed on a thread for such work, this instance answers others.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits, imageops::FilterType};
use remuda_sdk::{Bytes, Error, Query, Result, Router, handler, job, offload};
use serde::{Deserialize, Serialize};

/// Of both sides, before and after.
const MAX_SIDE: u32 = 4096;
/// Of the decoder, in bytes: half of what an instance has by default.
const MAX_DECODED: u64 = 64 * 1024 * 1024;

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(default)]
struct Size {
    width: u32,
    height: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { width: 64, height: 64 }
    }
}

#[handler(jobs(shrink))]
fn app() -> Router {
    Router::new().get("/", async || "POST /?width=64&height=64\n").post("/", thumbnail)
}

async fn thumbnail(
    Query(size): Query<Size>,
    image: Bytes,
) -> Result<([(&'static str, &'static str); 1], Vec<u8>)> {
    // What can be refused at once needs no thread.
    if [size.width, size.height].iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        let detail = format!("width and height are to be between 1 and {MAX_SIDE}");
        return Err(Error::bad_request(detail));
    }
    let small = offload!(shrink(image, size)).await?;
    Ok(([("content-type", "image/png")], small))
}

/// Keeps the proportions: the result is as large as fits.
#[job]
fn shrink(image: Bytes, size: Size) -> Result<Vec<u8>> {
    let no_image = |why: &dyn std::fmt::Display| {
        Error::unprocessable(format!("the body is no image that can be read: {why}"))
    };
    let mut reader = ImageReader::new(Cursor::new(&image[..]));
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let reader = reader.with_guessed_format()?;
    let image = reader.decode().map_err(|error| no_image(&error))?;
    let mut small = Cursor::new(Vec::new());
    let image = image.resize(size.width, size.height, FilterType::Lanczos3);
    image.write_to(&mut small, ImageFormat::Png)?;
    tracing::info!(width = image.width(), height = image.height(), "made a thumbnail");
    Ok(small.into_inner())
}

#[cfg(test)]
mod tests {
    use remuda_sdk::test;

    use super::app;

    #[test]
    fn an_image_fits_into_what_was_asked_for() {
        let image = [b"P6 200 100 255\n".as_slice(), &[128; 200 * 100 * 3]].concat();
        let small = test::post("/?width=20&height=20").body(image).send_now(app());
        assert_eq!(small.header("content-type"), "image/png");
        let small = image::load_from_memory(small.bytes()).expect("an image");
        assert_eq!((small.width(), small.height()), (20, 10));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let response = test::post("/").body("nonsense").send_now(app());
        assert_eq!(response.status(), 422, "{}", response.text());
        assert_eq!(test::post("/?width=0").send_now(app()).status(), 400);
    }
}
