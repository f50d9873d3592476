//! An image decoded, made to fit, and encoded again.

use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits, imageops::FilterType};

use crate::{Done, query::Query};

/// Of both sides, before and after.
const MAX_SIDE: u32 = 4096;
/// Of the decoder, in bytes: half of what an instance has by default.
const MAX_DECODED: u64 = 64 * 1024 * 1024;

/// Keeps the proportions: the result is as large as fits into `width` and `height`.
pub(crate) fn resize(query: &Query<'_>, image: &[u8]) -> Done {
    let (width, height) = (query.number("width", 64)?, query.number("height", 64)?);
    if [width, height].iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        return Err(format!("width and height are to be between 1 and {MAX_SIDE}"));
    }
    let (format, kind) = match query.text("as").unwrap_or("png") {
        "png" => (ImageFormat::Png, "image/png"),
        "pnm" => (ImageFormat::Pnm, "image/x-portable-anymap"),
        other => return Err(format!("as is to be png or pnm, not \"{other}\"")),
    };
    let mut reader = ImageReader::new(Cursor::new(image));
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let reader = reader.with_guessed_format().map_err(|error| error.to_string())?;
    let image = reader.decode().map_err(|error| format!("this is no such image: {error}"))?;
    let mut resized = Cursor::new(Vec::new());
    let image = image.resize(width, height, FilterType::Lanczos3);
    image.write_to(&mut resized, format).map_err(|error| error.to_string())?;
    Ok((kind, resized.into_inner()))
}
