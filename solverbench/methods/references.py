"""Where the methods come from. Keys are what `cite=` names."""

REFERENCES = {
    "cox2002etd": "Cox & Matthews, Exponential time differencing for stiff systems, J. Comput. Phys. 176 (2002)",
    "hairer1993": "Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, Springer (1993)",
    "hochbruck2010": "Hochbruck & Ostermann, Exponential integrators, Acta Numerica 19 (2010)",
    "ho2020ddpm": "Ho, Jain & Abbeel, Denoising diffusion probabilistic models, arXiv 2006.11239",
    "karras2022edm": "Karras et al., Elucidating the design space of diffusion models, arXiv 2206.00364",
    "lu2022dpm": "Lu et al., DPM-Solver, arXiv 2206.00927",
    "lu2022dpmpp": "Lu et al., DPM-Solver++, arXiv 2211.01095",
    "boffi2024flowmap": "Boffi, Albergo & Vanden-Eijnden, Flow map matching, arXiv 2406.07507",
    "song2021ddim": "Song, Meng & Ermon, Denoising diffusion implicit models, arXiv 2010.02502",
    "song2021sde": "Song et al., Score-based generative modeling through SDEs, arXiv 2011.13456",
    "zhang2023deis": "Zhang & Chen, Fast sampling of diffusion models with exponential integrator, arXiv 2204.13902",
    "zhao2023unipc": "Zhao et al., UniPC, arXiv 2302.04867",
}
