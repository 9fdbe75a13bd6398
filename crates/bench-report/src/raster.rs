//! Pictures as PNG files, for programs that take no SVG.

use std::sync::Arc;

use resvg::render;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::picture::{DrawError, Picture};

/// Pixels for each one of the SVG file, so that text is sharp on any screen.
const SCALE: f32 = 2.0;

/// The families that charts ask for, the best first.
const FAMILIES: [&str; 4] = ["Liberation Sans", "Arial", "DejaVu Sans", "Noto Sans"];

/// Turns pictures into pixels, with the fonts of this machine.
pub struct Raster {
    options: Options<'static>,
}

impl Raster {
    /// Finds the fonts.
    pub fn new() -> Result<Self, DrawError> {
        let mut fonts = Database::new();
        fonts.load_system_fonts();
        let names: Vec<String> = fonts
            .faces()
            .flat_map(|face| face.families.iter().map(|(name, _)| name.clone()))
            .collect();
        let known = FAMILIES.iter().find(|family| names.iter().any(|name| name == *family));
        let family = known.map(|family| (*family).to_owned()).or_else(|| names.first().cloned());
        let Some(family) = family else {
            let problem = "there are no fonts: install Liberation Sans (fonts-liberation)";
            return Err(DrawError::new("text".to_owned(), problem.to_owned()));
        };
        fonts.set_sans_serif_family(&family);
        let options =
            Options { fontdb: Arc::new(fonts), font_family: family, ..Options::default() };
        Ok(Self { options })
    }

    /// The bytes of a PNG file.
    pub fn png(&self, picture: &Picture) -> Result<Vec<u8>, DrawError> {
        let failed = |problem: String| DrawError::new(format!("`{}`", picture.name), problem);
        let tree = Tree::from_str(&picture.svg, &self.options);
        let tree = tree.map_err(|error| failed(error.to_string()))?;
        let size = tree.size().to_int_size().scale_by(SCALE);
        let pixels = size.and_then(|size| Pixmap::new(size.width(), size.height()));
        let mut pixels = pixels.ok_or_else(|| failed("it is too large".to_owned()))?;
        render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of dark pixels in a picture of this text.
    fn ink(text: &str) -> usize {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"40\" \
             font-family=\"Liberation Sans, Arial, sans-serif\">\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><text x=\"9\" y=\"20\">{text}</text></svg>"
        );
        let raster = Raster::new().expect("fonts");
        let picture = Picture { name: "x".to_owned(), svg, untitled_svg: String::new() };
        let png = raster.png(&picture).expect("drawn");
        assert_eq!(png, raster.png(&picture).expect("drawn"), "the same bytes");
        let pixels = Pixmap::decode_png(&png).expect("a PNG file");
        assert_eq!((pixels.width(), pixels.height()), (400, 80));
        pixels.pixels().iter().filter(|pixel| pixel.red() < 128).count()
    }

    #[test]
    fn text_is_drawn_with_the_fonts_of_the_machine() {
        assert_eq!(ink(""), 0);
        assert!(ink("throughput") > ink("t") && ink("t") > 0);
    }
}
